package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
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

// 200 publishes hang in the storage. Reads and polls continue and do not use it. The
// number of hanging publishes is bounded: one transaction, and no more publishes than the
// limit.
func TestS16_ReadsTakeNothingOfAStorageThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		shared := troubledBy(store)
		const hanging = 200
		srv := node(t, shared, memstore.New(), diamond.WithLimits(10_000, hanging), diamond.WithCacheBytes(1<<20))
		n := campaign.Scale(t, 500, 5000)
		for i := range 100 {
			srv.Publish(fmt.Sprint("key-", i), fmt.Sprint("value ", i))
		}
		synctest.Wait()
		release := make(chan struct{})
		var inside, most atomic.Int32
		shared.set(func(op string) error {
			if op == "commit" {
				most.Store(max(most.Load(), inside.Add(1)))
				<-release
				inside.Add(-1)
			}
			return nil
		}, nil)
		var publishers sync.WaitGroup
		var acked atomic.Int32
		for i := range hanging {
			publishers.Go(func() {
				if _, err := srv.CommitSet(setOf(fmt.Sprint("hanging-", i), "1")); err == nil {
					acked.Add(1)
				}
			})
		}
		synctest.Wait()
		assert.Equal(t, hanging, srv.Status().Inflight)
		_, err := srv.CommitSet(setOf("one-too-many", "1"))
		require.ErrorIs(t, err, conf.ErrOverloaded)

		calls := func() int {
			return shared.count("commit") + shared.count("read") + shared.count("scan") + shared.count("changes") + shared.count("history")
		}
		before, begun := calls(), time.Now()
		var polls sync.WaitGroup
		at := srv.Status().Position
		for i := range n {
			polls.Go(func() {
				resp, err := srv.Poll(context.Background(), servertest.PollFor(at, 20*time.Second, fmt.Sprint("key-", i%100)))
				if assert.NoError(t, err) {
					assert.Empty(t, resp.Changed)
				}
			})
		}
		for i := range n {
			got := srv.MustFetch(fmt.Sprint("key-", i%100))
			assert.Equal(t, fmt.Sprint("value ", i%100), got.Entry.Content)
			assert.Zero(t, got.Stale)
		}
		synctest.Wait()
		assert.Equal(t, n, srv.Status().Waiters)
		assert.Zero(t, time.Since(begun), "nobody waited")
		assert.Equal(t, before, calls(), "nor asked the storage")
		polls.Wait()
		assert.LessOrEqual(t, calls()-before, 50, "the feed alone, twice a second")
		assert.EqualValues(t, 1, most.Load(), "one transaction at a time")
		close(release)
		publishers.Wait()
		assert.EqualValues(t, hanging, acked.Load())
	})
}

// If the transactions of a storage take milliseconds, as those of a database do, many
// publishers fill them, even if each publisher takes a moment to return.
func TestCommitsFillTransactionsOfASlowStorage(t *testing.T) {
	for _, c := range []struct{ commit, think time.Duration }{
		{2 * time.Millisecond, 0},
		{4 * time.Millisecond, 200 * time.Microsecond},
		{4 * time.Millisecond, time.Millisecond},
		{10 * time.Millisecond, 2 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%v and %v", c.commit, c.think), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New()
				defer store.Close()
				shared := troubledBy(store)
				shared.set(func(op string) error {
					switch op {
					case "commit":
						time.Sleep(c.commit)
					case "changes":
						time.Sleep(c.commit / 8)
					}
					return nil
				}, nil)
				srv := servertest.Start(t, shared)
				const publishers, rounds = 64, 20
				begun := time.Now()
				var all sync.WaitGroup
				for p := range publishers {
					all.Go(func() {
						for r := range rounds {
							srv.Publish(fmt.Sprint("key-", p), fmt.Sprint("value ", r))
							time.Sleep(c.think/2 + c.think*time.Duration(p)/publishers)
						}
					})
				}
				all.Wait()
				transactions := shared.count("commit")
				t.Logf("%d sets in %d transactions, %v", publishers*rounds, transactions, time.Since(begun))
				assert.LessOrEqual(t, transactions, rounds*5/2, "half full at the least")
			})
		})
	}
}

// Conditional publishes of several nodes meet in the storage. Each set of a transaction
// has its own outcome. Of the publishers that name the same revision exactly one wins, and
// the others can read from their own node the change that won.
func TestConditionalPublishesOfSeveralNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		shared := troubledBy(store)
		shared.set(func(op string) error {
			if op == "commit" {
				time.Sleep(3 * time.Millisecond)
			}
			return nil
		}, nil)
		nodes := make([]*servertest.Served, 3)
		for i := range nodes {
			nodes[i] = node(t, shared, memstore.New())
		}
		for _, n := range nodes {
			defer n.OnCommitted(func(p conf.Position) {
				for _, other := range nodes {
					other.Nudge(p)
				}
			})()
		}
		const publishers, rounds, keys = 48, 15, 4
		var wins [keys]atomic.Int64
		var conflicts atomic.Int64
		var all sync.WaitGroup
		for p := range publishers {
			all.Go(func() {
				srv, key := nodes[p%len(nodes)], p%keys
				id := fmt.Sprint("counter-", key)
				for range rounds {
					seen := srv.MustFetch(id).Entry
					set := setOf(id, seen.Content+"+")
					set.Drafts[0].IfRevision = conf.Revision(seen.Revision)
					set.Drafts = append(set.Drafts, conf.Draft{Key: conf.NewKey("", fmt.Sprint("own-", p)), Content: "x"})
					_, err := srv.CommitSet(set)
					if err == nil {
						wins[key].Add(1)
						continue
					}
					conflicts.Add(1)
					var e *conf.Error
					if assert.ErrorIs(t, err, conf.ErrConflict) && assert.True(t, errors.As(err, &e)) {
						assert.Equal(t, id, e.Key.DataID)
						assert.GreaterOrEqual(t, srv.MustFetch(id).Entry.Revision, e.Current, "it can be read where it was met")
					}
				}
			})
		}
		all.Wait()
		time.Sleep(time.Second)
		total := int64(0)
		for key := range keys {
			total += wins[key].Load()
			for _, n := range nodes {
				assert.Len(t, n.MustFetch(fmt.Sprint("counter-", key)).Entry.Content, int(wins[key].Load()), "no update is lost, none is counted twice")
			}
		}
		assert.Positive(t, conflicts.Load(), "else this tests nothing")
		assert.Equal(t, total, nodes[0].Status().Position.Revision, "a set that lost left no trace")
	})
}
