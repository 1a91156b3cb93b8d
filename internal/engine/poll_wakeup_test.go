package engine_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// A publish at any moment around a poll's compare and park ends the poll at
// once, never at its timeout. The key that changes is the first that the poll
// looks at, of many, so that most publishes fall between the two.
func TestC6_LostWakeup_Server(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		ids := []string{"a"}
		for i := range 200 {
			ids = append(ids, fmt.Sprintf("b-%03d", i))
		}
		at := srv.Publish("a", "0")
		srv.MustPoll(servertest.PollFor(at, 0, ids...))
		req := servertest.PollFor(at, 30*time.Second, ids...)
		req.Keys = nil // known
		for i := range campaign.Scale(t, 5000, 100_000) {
			start := time.Now()
			req.Position = at
			done := make(chan struct{})
			go func() {
				defer close(done)
				resp, err := srv.Poll(context.Background(), req)
				if assert.NoError(t, err) {
					assert.Equal(t, []string{"a"}, names(resp))
				}
			}()
			for range i % 50 {
				runtime.Gosched()
			}
			at = srv.Publish("a", fmt.Sprint(i))
			<-done
			require.Zero(t, time.Since(start), "run %d", i)
			if i%100 == 99 {
				time.Sleep(time.Minute) // for the sweeper to run, too
			}
		}
	})
}

// One publish answers every poller of the key, with the content, and no other.
func TestDefect_L1_L2_EveryPollerOfTheKeyAndNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		at := srv.Publish("a", "0")
		n := campaign.Scale(t, 1000, 10_000)
		answers := make([]<-chan *conf.PollResponse, n)
		for i := range answers {
			answers[i] = srv.Parked(servertest.PollFor(at, conf.MaxWait, "a"))
		}
		other := srv.Parked(servertest.PollFor(at, conf.MaxWait, "b"))
		start := time.Now()
		at = srv.Publish("a", "1")
		for _, answer := range answers {
			resp := <-answer
			require.Equal(t, []string{"a"}, names(resp))
			require.Equal(t, "1", resp.Changed[0].Entry.Content)
			require.Equal(t, at, resp.Position)
			require.NotZero(t, resp.Applied)
		}
		require.Zero(t, time.Since(start))
		select {
		case <-other:
			t.Fatal("another key's poller was disturbed")
		default:
		}
		assert.EqualValues(t, n, srv.Status().Counters.Wakeups)
		assert.Equal(t, 1, srv.Status().Waiters)
		assert.Empty(t, (<-other).Changed)
	})
}

// Ten thousand waiters for other keys do not make a change slower.
func TestM4_WaitersOfOtherKeysCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		at := srv.Publish("hot", "0")
		const others = 10_000
		var all sync.WaitGroup
		for i := range others {
			req := servertest.PollFor(at, time.Minute, fmt.Sprint("cold-", i))
			all.Go(func() {
				_, err := srv.Poll(context.Background(), req)
				assert.NoError(t, err)
			})
		}
		answer := srv.Parked(servertest.PollFor(at, time.Minute, "hot"))
		require.Equal(t, others+1, srv.Status().Waiters)
		srv.Publish("hot", "1")
		<-answer
		assert.EqualValues(t, 1, srv.Status().Counters.Wakeups)
		assert.Equal(t, others, srv.Status().Waiters)
		srv.Drain()
		all.Wait()
	})
}

// A poll that is behind when it comes is answered at once.
func TestDefect_L3_ComparedOnArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		at := srv.Publish("a", "0")
		srv.Publish("a", "1")
		req := servertest.PollFor(conf.Position{}, 3*time.Second, "a")
		req.Held = []conf.Held{{Key: conf.NewKey("", "a"), Revision: conf.AnyRevision, MD5: conf.MD5Hex("0")}}
		start := time.Now()
		assert.Equal(t, []string{"a"}, names(srv.MustPoll(req)), "by MD5")
		assert.Equal(t, []string{"a"}, names(srv.MustPoll(servertest.PollFor(at, 3*time.Second, "a"))), "by position")
		assert.Zero(t, time.Since(start))
	})
}

// A change that another server has committed wakes all waiters for its key here, and no
// others, whether the server learns of it by a nudge or at its interval.
func TestDefect_L6_AnyRoadWakesPollers(t *testing.T) {
	byItself, never := 500*time.Millisecond, 24*time.Hour
	for road, c := range map[string]struct {
		feed time.Duration // how often the server looks by itself
		come func(srv *servertest.Served, storage *troubled, at conf.Position)
	}{
		"its own look": {byItself, nil},
		"a peer's hint": {never, func(srv *servertest.Served, _ *troubled, at conf.Position) {
			srv.Nudge(at)
		}},
		"a request of who has seen it": {never, func(srv *servertest.Served, _ *troubled, at conf.Position) {
			_, err := srv.Fetch(srv.T.Context(), &conf.FetchRequest{Key: conf.NewKey("", "a"), After: at})
			require.NoError(srv.T, err)
		}},
		"a load of all": {byItself, func(_ *servertest.Served, storage *troubled, _ conf.Position) {
			gone := false
			storage.set(func(op string) error {
				if op == "changes" && !gone {
					gone = true
					return conf.Errorf(conf.ErrCompacted, "what follows is gone")
				}
				return nil
			}, nil)
		}},
	} {
		t.Run(road, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New()
				storage := troubledBy(store)
				srv := servertest.Serve(t, storage, diamond.WithFeedInterval(c.feed))
				peer := servertest.Start(t, store)
				at := srv.Publish("a", "1")
				srv.Publish("b", "1")
				synctest.Wait()
				storage.fail(conf.Errorf(conf.ErrUnavailable, "cut off"), "changes", "scan") // so that no look comes before the road
				var waiting []<-chan *conf.PollResponse
				for range 100 {
					waiting = append(waiting, srv.Parked(servertest.PollFor(at, conf.MaxWait, "a")))
				}
				other := srv.Parked(servertest.PollFor(srv.Status().Position, conf.MaxWait, "c"))
				at = peer.Publish("a", "2")
				storage.heal()
				begun := time.Now()
				if c.come != nil {
					c.come(srv, storage, at)
				}
				for _, answer := range waiting {
					resp := <-answer
					require.True(t, resp.Resync || len(resp.Changed) == 1 && resp.Changed[0].Entry.Content == "2", "%+v", resp)
				}
				assert.LessOrEqual(t, time.Since(begun), 5*time.Second, "no waiting to the end")
				assert.Equal(t, "2", srv.MustFetch("a").Entry.Content)
				if resp := <-other; !resp.Resync {
					assert.Empty(t, resp.Changed)
					assert.GreaterOrEqual(t, time.Since(begun), conf.MaxWait, "another key's poller was disturbed")
				}
			})
		})
	}
}

// Publishes for which nobody polls leave nothing behind, and the next poll is clean.
func TestDefect_L4_NoResidue(t *testing.T) {
	srv := servertest.Serve(t, memstore.New())
	round := func(n int) {
		for i := range n {
			srv.Publish(fmt.Sprint("key-", i%10), fmt.Sprint("value ", i%50))
		}
	}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	round(1000)
	goroutines := runtime.NumGoroutine()
	n := campaign.Scale(t, 10_000, 50_000)
	before := heap()
	round(n)
	grown := heap() - before
	for waited := 0; runtime.NumGoroutine() > goroutines && waited < 30_000; waited++ {
		time.Sleep(time.Millisecond) // real time: for what one of the last publishes has begun
	}
	assert.LessOrEqual(t, runtime.NumGoroutine(), goroutines)
	assert.Less(t, grown/int64(n), int64(1200), "bytes a publish, those that memstore keeps of its history included")
	assert.Less(t, srv.Status().CacheSize, int64(1000), "ten small contents")

	at := srv.Status().Position
	resp := srv.MustPoll(servertest.PollFor(at, 50*time.Millisecond, "key-1"))
	assert.Empty(t, resp.Changed, "no stale wake-ups")
	assert.Zero(t, srv.Status().Counters.Wakeups)
}

// A poll compares once more at its timeout, so that it has a change that came just then.
func TestDefect_L5_ComparedAtTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		at := srv.Publish("a", "0")
		for i := range campaign.Scale(t, 500, 5000) {
			answer := srv.Parked(servertest.PollFor(at, time.Second, "a"))
			time.Sleep(time.Second) // wakes at the very moment of the timeout
			after := srv.Publish("a", fmt.Sprint(i))
			resp := <-answer
			if len(resp.Changed) == 0 {
				require.Equal(t, at, resp.Position, "who is told of no change is not told that it has it")
			}
			at = after
		}
	})
}
