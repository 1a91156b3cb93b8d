package diamond_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
)

func benchmarkClient(b *testing.B) diamond.Client {
	c := newCentre()
	for i := range 1000 {
		c.set(keyN(i), "content")
	}
	client := newClient(b, c)
	for i := range 1000 {
		get(b, client, keyN(i))
	}
	return client
}

func BenchmarkClientGet(b *testing.B) {
	client, key, ctx := benchmarkClient(b), keyN(500), b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Get(ctx, key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClientGetParallel(b *testing.B) {
	client, key, ctx := benchmarkClient(b), keyN(500), b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := client.Get(ctx, key); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkValueGet(b *testing.B) {
	c := newCentre()
	c.set(keyA, `{"rate": 1}`)
	v, err := diamond.Bind[limits](b.Context(), newClient(b, c), keyA)
	require.NoError(b, err)
	b.ReportAllocs()
	sum := 0
	for b.Loop() {
		sum += v.Get().Rate
	}
	require.Equal(b, b.N, sum)
}
