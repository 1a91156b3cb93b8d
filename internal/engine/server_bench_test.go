package engine_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/boltstore"
	"github.com/linnaname/gdiamond/storage/memstore"
)

func BenchmarkServerFetch(b *testing.B) {
	srv := servertest.Serve(b, memstore.New())
	ids := make([]conf.Key, 1000)
	for i := range ids {
		ids[i] = conf.NewKey("", fmt.Sprint("service-", i, ".yaml"))
		srv.Publish(ids[i].DataID, strings.Repeat("x", 1024))
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := srv.Fetch(context.Background(), &conf.FetchRequest{Key: ids[i%len(ids)]}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// One change to 10,000 parked polls of one set, until the last has its answer;
// and the same of goroutines that only wait for a channel each.
func BenchmarkServerFanOut(b *testing.B) {
	const waiters = 10_000
	b.Run("server", func(b *testing.B) {
		srv := servertest.Serve(b, memstore.New())
		at := srv.Publish("a", "0")
		fanOut(b, waiters, func() {
			if resp, err := srv.Poll(context.Background(), servertest.PollFor(at, time.Minute, "a")); err != nil || len(resp.Changed) != 1 {
				b.Error(resp, err)
			}
		}, func() bool { return srv.Status().Waiters == waiters }, func() { at = srv.Publish("a", "1") })
	})
	b.Run("channels", func(b *testing.B) {
		var parked atomic.Int64
		wakes := make([]chan struct{}, waiters)
		fanOut(b, waiters, func() {
			wake, timer := make(chan struct{}), time.NewTimer(time.Minute)
			defer timer.Stop()
			wakes[parked.Add(1)-1] = wake
			select {
			case <-wake:
			case <-timer.C:
			case <-b.Context().Done():
			}
		}, func() bool { return parked.Load() == waiters }, func() {
			parked.Store(0)
			for _, wake := range wakes {
				close(wake)
			}
		})
	})
}

func fanOut(b *testing.B, waiters int, wait func(), parked func() bool, change func()) {
	var took time.Duration
	for range b.N {
		var all sync.WaitGroup
		for range waiters {
			all.Go(wait)
		}
		for !parked() {
			time.Sleep(time.Millisecond) // real time: it is being measured
		}
		time.Sleep(10 * time.Millisecond) // real time: for the last to park
		start := time.Now()
		change()
		all.Wait()
		took += time.Since(start)
	}
	b.ReportMetric(float64(took.Microseconds())/float64(b.N), "µs/change")
}

func BenchmarkServerCommit(b *testing.B) {
	for _, publishers := range []int{1, 64} {
		b.Run(fmt.Sprint("publishers=", publishers), func(b *testing.B) {
			store, err := boltstore.Open(filepath.Join(b.TempDir(), "data"))
			require.NoError(b, err)
			srv := servertest.Serve(b, store)
			content := strings.Repeat("x", 1024)
			var next atomic.Int64
			var all sync.WaitGroup
			for range publishers {
				all.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if _, err := srv.CommitSet(setOf(fmt.Sprint("key-", i*7919%100_000), content)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}
