package engine_test

import (
	"context"
	"fmt"
	"strings"
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

// Servers that tell each other of their commits see them at once, and not only
// at their next interval.
func TestNudgesBringChangesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		a := servertest.Start(t, store)
		b := servertest.Start(t, store)
		defer b.OnCommitted(a.Nudge)()
		for i := range 20 {
			at := a.Status().Position
			answer := a.Parked(servertest.PollFor(at, time.Minute, "a"))
			time.Sleep(time.Duration(i) * 13 * time.Millisecond)
			begun := time.Now()
			at = b.Publish("a", fmt.Sprint(i))
			assert.Equal(t, at, (<-answer).Position)
			assert.LessOrEqual(t, time.Since(begun), 20*time.Millisecond)
		}
	})
}

// Nudges that are lost, repeated, reordered, late, forged or of another store change
// nothing but the time at which the server reads.
func TestN11_NudgesAreHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		shared := troubledBy(store)
		srv := servertest.Serve(t, shared)
		peer := servertest.Start(t, store)
		at := srv.Publish("a", "1")
		synctest.Wait()

		// A forged one of the far future costs one read.
		reads := shared.count("changes")
		future := at
		future.Revision, future.Chain = 1<<40, conf.Chain{7}
		srv.Nudge(future)
		synctest.Wait()
		assert.Equal(t, reads+1, shared.count("changes"))
		assert.Equal(t, at, srv.Status().Position)
		assert.Zero(t, srv.MustFetch("a").Stale)

		// It does not blind the server to what is real.
		answer := srv.Parked(servertest.PollFor(at, time.Minute, "a"))
		at = peer.Publish("a", "2")
		time.Sleep(20 * time.Millisecond)
		srv.Nudge(at)
		resp := <-answer
		assert.Equal(t, at, resp.Position)
		assert.Equal(t, "2", resp.Changed[0].Entry.Content)

		// Those of what is known, and of other stores, cost nothing.
		synctest.Wait()
		reads = shared.count("changes")
		old := at
		old.Revision = 1
		stranger := future
		stranger.Store[0]++
		for range 1000 {
			srv.Nudge(at)
			srv.Nudge(old)
			srv.Nudge(stranger)
		}
		synctest.Wait()
		assert.Equal(t, reads, shared.count("changes"))

		// A flood is obeyed at a bounded rate, one read at a time.
		var running, most atomic.Int32
		shared.set(func(op string) error {
			if op == "changes" {
				most.Store(max(most.Load(), running.Add(1)))
				time.Sleep(time.Millisecond)
				running.Add(-1)
			}
			return nil
		}, nil)
		reads = shared.count("changes")
		for range 10_000 {
			future.Revision++
			srv.Nudge(future)
			time.Sleep(100 * time.Microsecond)
		}
		assert.LessOrEqual(t, shared.count("changes")-reads, 105)
		assert.EqualValues(t, 1, most.Load())
		assert.True(t, srv.MustPoll(servertest.PollFor(at, 0, "a")).Changed == nil, "nobody is told twice")

		// Requests that name a position of the future are such hints too.
		reads = shared.count("changes")
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				_, err := srv.Fetch(context.Background(), &conf.FetchRequest{Key: conf.NewKey("", "a"), After: future})
				assert.ErrorIs(t, err, conf.ErrBehind)
			})
			time.Sleep(time.Millisecond)
		}
		all.Wait()
		assert.LessOrEqual(t, shared.count("changes")-reads, 120)

		// What a forger says is forgotten.
		shared.heal()
		time.Sleep(2 * time.Minute)
		status := srv.Status()
		assert.False(t, status.Stalled)
		assert.Zero(t, status.Lag)
		require.NoError(t, status.Storage)
	})
}

// lagging is a storage whose reads come from a database that follows the one
// that is written, at a distance; the test moves it on.
type lagging struct {
	*memstore.Store
	mu     sync.Mutex
	behind diamond.Storage // that is read; nil: the store itself
	fresh  int             // reads that were asked to be of a new connection
	renew  bool            // such a read ends the lag
	silent bool            // results do not have the changes
}

func (l *lagging) Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	results, err := l.Store.Commit(ctx, sets)
	for i := range results {
		if l.silent {
			results[i].Changes = nil
		}
	}
	return results, err
}

func (l *lagging) set(behind diamond.Storage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.behind = behind
}

func (l *lagging) reading(ctx context.Context) diamond.Storage {
	l.mu.Lock()
	defer l.mu.Unlock()
	if conf.FreshRead(ctx) {
		if l.fresh++; l.renew {
			l.behind = nil
		}
	}
	if l.behind != nil {
		return l.behind
	}
	return l.Store
}

func (l *lagging) Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error) {
	return l.reading(ctx).Changes(ctx, after, maxBytes)
}

// A server that commits needs no read to know what it has committed: an old
// snapshot that it reads is noticed, and is not taken for a loss of history.
func TestS15_StaleSnapshotBesideOwnCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		store := &lagging{Store: memstore.New()}
		defer store.Store.Close()
		srv := servertest.Start(t, store, log.option())
		srv.Publish("a", "0")
		store.set(copied(t, store.Store))
		for i := range 120 {
			time.Sleep(500 * time.Millisecond)
			content := fmt.Sprint(i)
			srv.Publish("a", content)
			assert.Equal(t, content, srv.MustFetch("a").Entry.Content)
		}
		time.Sleep(10 * time.Second) // and nobody commits
		status := srv.Status()
		assert.True(t, status.Stalled)
		require.ErrorIs(t, status.Storage, conf.ErrUnavailable)
		assert.ErrorContains(t, status.Storage, "feed stalled")
		assert.Equal(t, "119", srv.MustFetch("a").Entry.Content)
		assert.Zero(t, status.Counters.Forks)
		store.mu.Lock()
		assert.Positive(t, store.fresh, "it is asked to read anew")
		store.mu.Unlock()
		assert.EqualValues(t, 1, status.Position.Epoch.Generation)
		store.set(nil)
		time.Sleep(5 * time.Second)
		status = srv.Status()
		require.NoError(t, status.Storage)
		assert.Zero(t, status.Counters.Forks)
		assert.EqualValues(t, 1, status.Counters.FeedStalls)
		assert.Zero(t, status.Counters.FeedGaps)
		assert.Zero(t, log.count("lost changes"))
	})
}

// The feed reads an old snapshot while commits continue. The server notices it within
// seconds, logs it once, marks answers as stale, and asks the storage for a fresh read.
func TestS15_StaleSnapshotIsNoticed(t *testing.T) {
	for _, renew := range []bool{false, true} {
		t.Run(fmt.Sprint("reconnects ", renew), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logged
				store := &lagging{Store: memstore.New(), renew: renew, silent: true}
				defer store.Store.Close()
				srv := servertest.Start(t, store, log.option())
				srv.Publish("a", "1")
				store.set(copied(t, store.Store))
				done := make(chan error, 1)
				go func() {
					_, err := srv.CommitSet(setOf("a", "2"))
					done <- err
				}()
				time.Sleep(5*time.Second - time.Millisecond)
				status := srv.Status()
				assert.False(t, status.Stalled, "a moment is nothing to report")
				assert.InDelta(t, 5*time.Second, status.Lag, float64(time.Second))
				time.Sleep(700 * time.Millisecond)
				assert.EqualValues(t, 1, srv.Status().Counters.FeedStalls)
				if !renew {
					status = srv.Status()
					assert.True(t, status.Stalled)
					require.ErrorIs(t, status.Storage, conf.ErrUnavailable)
					assert.ErrorContains(t, status.Storage, "feed stalled")
					got := srv.MustFetch("a")
					assert.Equal(t, "1", got.Entry.Content, "reads go on,")
					assert.Positive(t, got.Stale, "and say so")
					time.Sleep(10 * time.Second)
					store.set(nil)
				}
				require.NoError(t, <-done, "acknowledged once it can be read")
				assert.Equal(t, "2", srv.MustFetch("a").Entry.Content)
				time.Sleep(5 * time.Second)
				status = srv.Status()
				assert.False(t, status.Stalled)
				assert.Zero(t, status.Lag)
				assert.Zero(t, srv.MustFetch("a").Stale)
				assert.EqualValues(t, 1, status.Counters.FeedStalls)
				assert.Zero(t, status.Counters.Forks)
				assert.Equal(t, 1, log.count("feed stalled"), "said once")
				store.mu.Lock()
				defer store.mu.Unlock()
				assert.Positive(t, store.fresh)
				assert.Zero(t, log.count("lost changes"))
			})
		})
	}
}

// The server waits for others' commits, which nudges name, in the same way.
func TestS15_StallIsNoticedByNudges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &lagging{Store: memstore.New()}
		defer store.Store.Close()
		srv := servertest.Start(t, store)
		peer := servertest.Start(t, store.Store)
		defer peer.OnCommitted(srv.Nudge)()
		peer.Publish("a", "1")
		synctest.Wait()
		store.set(copied(t, store.Store))
		for i := range 12 {
			peer.Publish("a", fmt.Sprint(i))
			time.Sleep(500 * time.Millisecond)
		}
		assert.True(t, srv.Status().Stalled)
		assert.Positive(t, srv.MustFetch("a").Stale)
		store.set(nil)
		time.Sleep(3 * time.Second)
		assert.False(t, srv.Status().Stalled)
		assert.Equal(t, "11", srv.MustFetch("a").Entry.Content)
	})
}

// A database that is behind by a whole epoch has lost nothing either: that one
// epoch has begun is no reason to begin the next.
func TestS13_LagAcrossAnEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &lagging{Store: memstore.New()}
		defer store.Store.Close()
		srv := servertest.Start(t, store)
		srv.Publish("a", "1")
		before := copied(t, store.Store)
		forked, err := store.Fork(t.Context(), conf.Position{})
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		require.Equal(t, forked, srv.Status().Position)
		store.set(before)
		time.Sleep(2 * time.Minute)
		require.ErrorContains(t, srv.Status().Storage, "feed gap")
		store.set(nil)
		time.Sleep(3 * time.Second)
		require.NoError(t, srv.Status().Storage)
		assert.Equal(t, forked, srv.Status().Position)
	})
}

// The feed reads a replica of the database that is behind, or applies changes
// out of order: the node waits, says so, never applies a later one first, and
// takes neither for a loss of history nor for damage.
func TestS13_LaggingReplicaOfTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		store := &lagging{Store: memstore.New(), silent: true}
		defer store.Store.Close()
		srv := servertest.Start(t, store, log.option())
		srv.Publish("a", "1")
		srv.Publish("b", "1")
		at := srv.Publish("a", "2")
		answer := srv.Parked(servertest.PollFor(at, time.Minute, "a", "b"))
		store.set(servertest.WithoutTail(t, store.Store, 1))
		time.Sleep(50 * time.Second) // however long: the storage that commits knows that nothing is lost
		status := srv.Status()
		assert.Equal(t, at, status.Position, "nothing goes back")
		assert.ErrorContains(t, status.Storage, "feed gap")
		require.ErrorIs(t, status.Storage, conf.ErrUnavailable)
		assert.NotErrorIs(t, status.Storage, conf.ErrCorrupt)
		assert.Equal(t, "2", srv.MustFetch("a").Entry.Content)
		assert.Positive(t, srv.MustFetch("a").Stale)
		assert.EqualValues(t, 1, status.Counters.FeedGaps)
		store.set(nil)
		time.Sleep(3 * time.Second)
		require.NoError(t, srv.Status().Storage)
		assert.Zero(t, srv.Status().Counters.Forks, "nothing was lost")
		assert.Equal(t, 1, log.count("feed gap"))
		peer := servertest.Start(t, store.Store)
		peer.Publish("b", "2")
		assert.Len(t, (<-answer).Changed, 1)

		n := campaign.Scale(t, 100, 1000)
		spoil := &spoiled{Storage: store.Store}
		reader := servertest.Start(t, spoil)
		var hole atomic.Int64
		spoil.set(func(b *conf.Batch) {
			for i := range b.Changes {
				if b.Changes[i].Revision == hole.Load() { // its commit is not applied yet
					b.Changes = append(b.Changes[:i:i], b.Changes[i+1:]...)
					return
				}
			}
		})
		for i := range n {
			hole.Store(peer.Status().Position.Revision + 1)
			peer.Publish("a", fmt.Sprint("first ", i))
			peer.Publish("b", fmt.Sprint("second ", i))
			time.Sleep(time.Second)
			got := reader.Status().Position.Revision
			require.Less(t, got, hole.Load(), "not the later one before it")
			require.NotEqual(t, fmt.Sprint("second ", i), reader.MustFetch("b").Entry.Content)
			hole.Store(0)
			time.Sleep(3 * time.Second)
			require.Equal(t, fmt.Sprint("second ", i), reader.MustFetch("b").Entry.Content)
			require.Equal(t, fmt.Sprint("first ", i), reader.MustFetch("a").Entry.Content)
		}
		require.NoError(t, reader.Status().Storage)
		assert.EqualValues(t, n, reader.Status().Counters.FeedGaps)
	})
}

// A replica that has fallen behind waits for a lagging database, as the feed does. It is
// not rebuilt for that.
func TestS13_ReplicaWaitsForALaggingDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &lagging{Store: memstore.New()}
		defer store.Store.Close()
		local := copyOn(memstore.New())
		srv := node(t, store, local)
		for i := range 5 {
			srv.Publish("a", fmt.Sprint(i))
		}
		synctest.Wait()
		local.fail(conf.Errorf(conf.ErrNoSpace, "disk full"), "apply")
		for range 20 {
			srv.Publish("b", strings.Repeat("x", 1<<20)) // more than waits in memory
		}
		store.set(servertest.WithoutTail(t, store.Store, 3))
		local.heal()
		time.Sleep(10 * time.Second)
		assert.Equal(t, 5, int(srv.Status().Replica.Position.Revision))
		store.set(nil)
		time.Sleep(time.Minute)
		assert.EqualValues(t, 1, srv.Status().Replica.Installs, "at first")
		sameContents(t, store.Store, local.Storage)
	})
}

// A node can also be started on a database whose changes are out of order.
func TestS13_StartOnAGapIsNotDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		peer := servertest.Serve(t, store)
		peer.Publish("a", "1")
		local := copied(t, store)
		peer.Publish("a", "2")
		peer.Publish("a", "3")
		spoil := &spoiled{Storage: store}
		spoil.set(func(b *conf.Batch) { b.Changes = b.Changes[1:] })
		srv := node(t, spoil, local)
		assert.Equal(t, "1", srv.MustFetch("a").Entry.Content)
		assert.Positive(t, srv.MustFetch("a").Stale)
		spoil.set(nil)
		time.Sleep(3 * time.Second)
		assert.Equal(t, "3", srv.MustFetch("a").Entry.Content)
	})
}
