package follower_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

func benchmarkClient(b *testing.B) diamond.Client {
	c := clienttest.NewCentre()
	for i := range 1000 {
		c.Set(clienttest.KeyN(i), "content")
	}
	client := clienttest.NewClient(b, c)
	for i := range 1000 {
		clienttest.Get(b, client, clienttest.KeyN(i))
	}
	return client
}

func BenchmarkClientGet(b *testing.B) {
	client, key, ctx := benchmarkClient(b), clienttest.KeyN(500), b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Get(ctx, key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClientGetParallel(b *testing.B) {
	client, key, ctx := benchmarkClient(b), clienttest.KeyN(500), b.Context()
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
	c := clienttest.NewCentre()
	c.Set(clienttest.KeyA, `{"rate": 1}`)
	v, err := diamond.Bind[clienttest.Limits](b.Context(), clienttest.NewClient(b, c), clienttest.KeyA)
	require.NoError(b, err)
	b.ReportAllocs()
	sum := 0
	for b.Loop() {
		sum += v.Get().Rate
	}
	require.Equal(b, b.N, sum)
}
