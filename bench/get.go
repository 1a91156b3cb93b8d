//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"testing"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// limits is the type of the value in measureGet.
type limits struct {
	Rate  int    `json:"rate"`
	Level string `json:"level"`
}

// measureGet reads a subscribed key from memory.
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
	for _, m := range []struct {
		name  string
		read  func() bool
		most  float64 // ns
		batch int
	}{{"Client.Get", get, 100, 10_000}, {"Value.Get", typed, 10, 500_000}} {
		r.value(m.name+", one core", "ns", readTime(m.read, 1, m.batch), atMost(m.most))
		r.value(fmt.Sprintf("%s, %d cores", m.name, runtime.NumCPU()), "ns", readTime(m.read, runtime.NumCPU(), m.batch), atMost(m.most))
		r.value(m.name+", allocations", "each", testing.AllocsPerRun(1000, func() { m.read() }), atMost(0))
	}
	pointer := &limits{Rate: 100}
	r.note("a call that follows a pointer", "%s ns", number(readTime(func() bool { return pointer.Rate == 100 }, 1, 500_000)))
	return nil
}

// readTime returns the nanoseconds of a read while the given number of cores do nothing else. It
// is the minimum of many batches, because disturbances only make reads slower.
func readTime(read func() bool, cores, batch int) float64 {
	least := time.Duration(math.MaxInt64)
	for range 2000 {
		var all sync.WaitGroup
		begun := time.Now()
		for range cores {
			all.Go(func() {
				for range batch {
					if !read() {
						panic("not the value that was published")
					}
				}
			})
		}
		all.Wait()
		least = min(least, time.Since(begun))
	}
	return float64(least.Nanoseconds()) / float64(batch)
}
