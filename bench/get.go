//go:build linux

package main

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// limits is what the typed value of measureGet is decoded into.
type limits struct {
	Rate  int    `json:"rate"`
	Level string `json:"level"`
}

// measureGet reads a subscribed key, which is a read of memory.
func measureGet(_ settings, r *report) error {
	srv, err := diamond.NewServer(memstore.New())
	if err != nil {
		return err
	}
	defer srv.Close()
	client, err := diamond.NewClient(srv)
	if err != nil {
		return err
	}
	defer client.Close()

	ctx, key := context.Background(), diamond.NewKey("", "limits.json")
	if _, err := client.Publish(ctx, diamond.Draft{Key: key, Content: `{"rate": 100, "level": "info"}`}); err != nil {
		return err
	}
	value, err := diamond.Bind[limits](ctx, client, key)
	if err != nil {
		return err
	}
	defer value.Close()
	if got := value.Get(); got.Rate != 100 {
		return fmt.Errorf("the value is %+v", got)
	}

	get := func() bool {
		config, err := client.Get(ctx, key)
		return err == nil && config.Revision == 1
	}
	typed := func() bool { return value.Get().Rate == 100 }
	bare := &limits{Rate: 100}
	for _, m := range []struct {
		name string
		read func() bool
		most float64 // ns
	}{
		{"Client.Get", get, 100},
		{"Value.Get", typed, 10},
		{"a call that reads a pointer", func() bool { return bare.Rate == 100 }, 10},
	} {
		one, all := benchmark(m.read), benchmarkAll(m.read)
		r.value(m.name+", one core", "ns", nanos(one), atMost(m.most))
		r.value(fmt.Sprintf("%s, all %d cores", m.name, runtime.NumCPU()), "ns", nanos(all), atMost(m.most))
		r.value(m.name+", allocations", "each", float64(one.AllocsPerOp()), atMost(0))
	}
	return nil
}

func nanos(b testing.BenchmarkResult) float64 { return float64(b.T.Nanoseconds()) / float64(b.N) }

func benchmark(read func() bool) testing.BenchmarkResult {
	return testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !read() {
				b.Fatal("not the value")
			}
		}
	})
}

// benchmarkAll reads on every core at once; its time is that of one read on one core.
func benchmarkAll(read func() bool) testing.BenchmarkResult {
	result := testing.Benchmark(func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if !read() {
					b.Error("not the value")
				}
			}
		})
	})
	result.N /= runtime.GOMAXPROCS(0)
	return result
}
