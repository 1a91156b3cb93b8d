package diamond_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

func benchmarkValue(b *testing.B) *diamond.Value[clienttest.Limits] {
	c := clienttest.NewCentre()
	c.Set(clienttest.KeyA, `{"rate": 1}`)
	v, err := diamond.Bind[clienttest.Limits](b.Context(), clienttest.NewClient(b, c), clienttest.KeyA)
	require.NoError(b, err)
	b.ReportAllocs()
	return v
}

func BenchmarkValueGet(b *testing.B) {
	v := benchmarkValue(b)
	for b.Loop() {
		if v.Get().Rate != 1 {
			b.Fatal("another value")
		}
	}
}

func BenchmarkValueGetParallel(b *testing.B) {
	v := benchmarkValue(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if v.Get().Rate != 1 {
				b.Error("another value")
			}
		}
	})
}
