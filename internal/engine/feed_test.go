package engine_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
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
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// The server serves the publishes of another server on the same storage within its
// interval.
func TestFeedFollowsOtherWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		srv := servertest.Serve(t, store)
		peer := servertest.Start(t, store)
		at := srv.Publish("a", "1")
		answer := srv.Parked(servertest.PollFor(at, time.Minute, "a"))
		start := time.Now()
		peer.Publish("a", "2")
		assert.Equal(t, []string{"a"}, names(<-answer))
		assert.LessOrEqual(t, time.Since(start), 600*time.Millisecond)
	})
}

// A server that has not loaded yet says so; it never says "not found".
func TestC10_L6_NotReadyIsNotNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		before := servertest.Start(t, store)
		at := before.Publish("a", "1")
		storage := troubledBy(store)
		storage.fail(conf.Errorf(conf.ErrUnavailable, "down"), "scan")
		srv := servertest.Serve(t, storage)
		status := srv.Status()
		assert.False(t, status.Ready)
		require.ErrorIs(t, status.Storage, conf.ErrUnavailable)

		ctx, k := t.Context(), conf.NewKey("", "a")
		for op, call := range map[string]func() error{
			"fetch":   func() error { _, err := srv.Fetch(ctx, &conf.FetchRequest{Key: k}); return err },
			"poll":    func() error { _, err := srv.Poll(ctx, servertest.PollFor(at, time.Minute, "a")); return err },
			"commit":  func() error { _, err := srv.CommitSet(setOf("a", "2")); return err },
			"changes": func() error { _, err := srv.Changes(ctx, &conf.ChangesRequest{}); return err },
			"list":    func() error { _, err := srv.List(ctx, &conf.ListRequest{}); return err },
			"history": func() error { _, err := srv.History(ctx, &conf.HistoryRequest{Key: k}); return err },
		} {
			err := call()
			require.ErrorIs(t, err, conf.ErrUnavailable, op)
			var e *conf.Error
			require.ErrorAs(t, err, &e, op)
			assert.Positive(t, e.RetryAfter, op)
		}
		storage.heal()
		time.Sleep(5 * time.Second)
		assert.True(t, srv.Status().Ready, "it goes on trying")
		assert.Equal(t, "1", srv.MustFetch("a").Entry.Content)
	})
}

func TestNewServerFails(t *testing.T) {
	for _, want := range []error{conf.ErrCorrupt, conf.ErrClosed} {
		storage := troubledBy(memstore.New())
		storage.fail(conf.Errorf(want, "broken"), "scan")
		_, err := diamond.NewServer(storage)
		require.ErrorIs(t, err, want)
	}
	_, err := diamond.NewServer(nil)
	require.ErrorIs(t, err, conf.ErrInvalid)
	_, err = diamond.NewServer(memstore.New(), diamond.WithFeedInterval(0), diamond.WithLimits(-1, 1))
	require.ErrorIs(t, err, conf.ErrInvalid)
	assert.ErrorContains(t, err, "interval")
	assert.ErrorContains(t, err, "waiters")
}

// A storage that hangs does not hang the start, nor the end.
func TestNewServerOnAStorageThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := troubledBy(memstore.New())
		release := make(chan struct{})
		storage.set(func(string) error { <-release; return nil }, nil)
		start := time.Now()
		srv := servertest.Serve(t, storage)
		assert.Equal(t, 10*time.Second, time.Since(start))
		assert.False(t, srv.Status().Ready)
		assert.Positive(t, srv.Status().Stale)
		close(release)
		synctest.Wait()
		assert.True(t, srv.Status().Ready)
		assert.Zero(t, srv.Status().Stale)
	})
}

// The storage goes down. Reads and polls continue, marked as stale, publishes fail with a
// typed error, and everything recovers without help.
func TestS6_ReadsGoOnWithoutTheStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := troubledBy(memstore.New())
		srv := servertest.Serve(t, storage)
		at := srv.Publish("a", "1")
		answer := srv.Parked(servertest.PollFor(at, time.Minute, "a"))
		storage.fail(conf.Errorf(conf.ErrUnavailable, "down"), "commit", "changes", "scan", "read")
		time.Sleep(10 * time.Second)
		got := srv.MustFetch("a")
		assert.Equal(t, "1", got.Entry.Content)
		assert.InDelta(t, 10*time.Second, got.Stale, float64(time.Second))
		status := srv.Status()
		assert.True(t, status.Ready)
		require.ErrorIs(t, status.Storage, conf.ErrUnavailable)
		assert.Positive(t, status.Counters.StorageErrors)
		assert.LessOrEqual(t, storage.count("changes"), 40, "it is not hammered")

		_, err := srv.CommitSet(setOf("a", "2"))
		require.ErrorIs(t, err, conf.ErrUnavailable)
		assert.Empty(t, srv.MustPoll(servertest.PollFor(at, time.Second, "a")).Changed)

		storage.heal()
		time.Sleep(3 * time.Second)
		assert.Zero(t, srv.MustFetch("a").Stale)
		srv.Publish("a", "2")
		require.NoError(t, srv.Status().Storage)
		assert.Equal(t, []string{"a"}, names(<-answer), "whoever waited through it is told")
	})
}

// The disk is full: publishes fail with a typed error, reads continue, and it recovers.
func TestS22_NoSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := troubledBy(memstore.New())
		srv := servertest.Serve(t, storage)
		srv.Publish("a", "1")
		storage.fail(conf.Errorf(conf.ErrNoSpace, "disk full"), "commit")
		_, err := srv.CommitSet(setOf("a", "2"))
		require.ErrorIs(t, err, conf.ErrNoSpace)
		time.Sleep(2 * time.Second)
		assert.Equal(t, "1", srv.MustFetch("a").Entry.Content)
		assert.Zero(t, srv.MustFetch("a").Stale, "it can be read")
		require.ErrorIs(t, srv.Status().Storage, conf.ErrNoSpace)
		assert.EqualValues(t, 1, srv.Status().Counters.Failed)
		time.Sleep(time.Hour)
		require.ErrorIs(t, srv.Status().Storage, conf.ErrNoSpace, "no read meets it")
		storage.heal()
		srv.Publish("a", "2")
		require.NoError(t, srv.Status().Storage)
		require.NoError(t, srv.Status().WriteErr)
	})
}

// A failed commit counts as a failure of the storage only until reads have succeeded for a
// while. That it was the last commit stays known.
func TestS6_FailedCommitIsNoOutageForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := troubledBy(memstore.New())
		log := new(logged)
		srv := servertest.Serve(t, storage, log.option())
		down := conf.Errorf(conf.ErrUnavailable, "down")
		fail := func() (at time.Time) {
			_, err := srv.CommitSet(setOf("a", "1"))
			require.ErrorIs(t, err, conf.ErrUnavailable)
			return time.Now()
		}
		storage.fail(down, "commit")
		fail()
		time.Sleep(50 * time.Second)
		at := fail()
		time.Sleep(50 * time.Second)
		status := srv.Status()
		require.ErrorIs(t, status.Storage, down, "it failed again 50 s ago")
		assert.Equal(t, 1, log.count("the storage cannot be written"))

		storage.fail(down, "commit", "changes")
		time.Sleep(time.Hour)
		require.ErrorIs(t, srv.Status().Storage, down)
		storage.fail(down, "commit")
		time.Sleep(5 * time.Second)
		status = srv.Status()
		require.NoError(t, status.Storage, "it is read, an hour later")
		assert.Zero(t, status.Stale)
		require.ErrorIs(t, status.WriteErr, down)
		assert.WithinDuration(t, at, status.WriteFailed, time.Second)

		fail()
		require.ErrorIs(t, srv.Status().Storage, down)
		assert.Equal(t, 2, log.count("the storage cannot be written"), "it is told anew")
		storage.heal()
		srv.Publish("a", "1")
		status = srv.Status()
		require.NoError(t, status.Storage)
		require.NoError(t, status.WriteErr)
		assert.Zero(t, status.WriteFailed)
		assert.Equal(t, 1, log.count("the storage can be written again"))
	})
}

// A failed publish leaves no hole: revisions are dense and the feed never stalls.
func TestS5_RollbackLeavesNoHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := troubledBy(memstore.New())
		srv := servertest.Serve(t, storage)
		n, failed := campaign.Scale(t, 1000, 10_000), 0
		attempts := 0
		storage.set(func(op string) error {
			if op == "commit" {
				if attempts++; attempts%10 == 0 {
					return conf.Errorf(conf.ErrUnavailable, "rolled back")
				}
			}
			return nil
		}, nil)
		var last int64
		for i := range n {
			at, err := srv.CommitSet(setOf(fmt.Sprintf("key-%d", i%100), fmt.Sprint("value ", i)))
			if err != nil {
				require.ErrorIs(t, err, conf.ErrUnavailable)
				failed++
				continue
			}
			require.Equal(t, last+1, at.Revision)
			last = at.Revision
		}
		assert.Equal(t, n/10, failed)
		assert.Equal(t, last, srv.Status().Position.Revision)
	})
}

// Changes that do not follow, or do not match their chain, are never served.
func TestFeedVerifiesWhatItReads(t *testing.T) {
	for name, spoil := range map[string]func(*conf.Batch){
		"content": func(b *conf.Batch) { b.Changes[0].Content += "x" },
		"gap":     func(b *conf.Batch) { b.Changes = b.Changes[1:] },
		"author":  func(b *conf.Batch) { b.Changes[0].Author.Name = "mallory" },
		"chain":   func(b *conf.Batch) { b.Position.Chain[0]++ },
		"nothing": func(b *conf.Batch) { b.Changes = nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &spoiled{Storage: memstore.New()}
				srv := servertest.Serve(t, store)
				peer := servertest.Start(t, store.Storage)
				srv.Publish("a", "1")
				store.set(spoil)
				peer.Publish("a", "2")
				peer.Publish("b", "1")
				time.Sleep(2 * time.Second)
				assert.Equal(t, "1", srv.MustFetch("a").Entry.Content)
				assert.False(t, srv.MustFetch("b").Found)
				want := conf.ErrCorrupt
				if name == "gap" {
					want = conf.ErrUnavailable // it will come: see TestS13
				}
				require.ErrorIs(t, srv.Status().Storage, want)
				assert.Positive(t, srv.Status().Stale)
				store.set(nil)
				time.Sleep(3 * time.Second)
				assert.Equal(t, "2", srv.MustFetch("a").Entry.Content, "and it recovers")
			})
		})
	}
}

// spoiled alters the batches that are read.
type spoiled struct {
	diamond.Storage
	spoil atomic.Pointer[func(*conf.Batch)]
}

func (s *spoiled) set(spoil func(*conf.Batch)) {
	if spoil == nil {
		s.spoil.Store(nil)
		return
	}
	s.spoil.Store(&spoil)
}

func (s *spoiled) Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error) {
	b, err := s.Storage.Changes(ctx, after, maxBytes)
	if spoil := s.spoil.Load(); spoil != nil && len(b.Changes) > 0 {
		(*spoil)(&b)
	}
	return b, err
}

// A server that has fallen behind the changes that its storage keeps loads everything.
// All waiters learn of it, deletions stay deletions, and nothing goes back.
func TestS20_CompactedWhileBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.WithRetention(storage.Retention{Changes: 10, Versions: 1, Age: time.Nanosecond}))
		hidden := troubledBy(store)
		srv := servertest.Serve(t, hidden)
		srv.Publish("kept", "1")
		srv.Publish("changed", "1")
		at := srv.Publish("gone", "1")
		answer := srv.Parked(servertest.PollFor(at, time.Minute, "kept", "changed", "gone"))

		hidden.fail(conf.Errorf(conf.ErrUnavailable, "cut off"), "changes", "scan")
		peer := servertest.Start(t, store)
		peer.Publish("changed", "2")
		peer.Remove("gone")
		for i := range 50 {
			time.Sleep(time.Millisecond) // so that they age
			peer.Publish("noise", fmt.Sprint(i))
		}
		_, err := store.Changes(t.Context(), at, 1)
		require.ErrorIs(t, err, conf.ErrCompacted, "else this tests nothing")
		hidden.heal()

		resp := <-answer
		assert.True(t, resp.Resync)
		full := servertest.PollFor(conf.Position{}, 0, "kept", "changed", "gone")
		full.Held = []conf.Held{held("kept", 1, "1"), held("changed", 2, "1"), held("gone", 3, "1")}
		resp = srv.MustPoll(full)
		assert.ElementsMatch(t, []string{"changed", "gone"}, names(resp), "nothing of what is unchanged")
		assert.True(t, srv.MustPoll(servertest.PollFor(at, 0, "kept", "changed", "gone")).Resync, "it cannot tell what followed that")
		_, err = srv.Changes(t.Context(), &conf.ChangesRequest{After: at})
		require.ErrorIs(t, err, conf.ErrCompacted, "and a watch is told, never left in silence")
	})
}

// Reloading in the background never takes an acknowledged write back.
func TestDefect_S16_ReloadRevertsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		hidden := troubledBy(store)
		hidden.silent = true
		srv := servertest.Serve(t, hidden)
		reads, reloads := 0, 0
		hidden.set(func(op string) error {
			switch op {
			case "changes":
				if reads++; reads%5 == 0 {
					return conf.Errorf(conf.ErrCompacted, "now and then")
				}
			case "scan":
				time.Sleep(100 * time.Millisecond) // publishes go on meanwhile
				reloads++
			}
			return nil
		}, nil)
		for i := range 500 {
			want := fmt.Sprint("value ", i)
			at := srv.Publish(fmt.Sprint("key-", i%7), want)
			got := srv.MustFetch(fmt.Sprint("key-", i%7))
			require.Equal(t, want, got.Entry.Content)
			require.GreaterOrEqual(t, got.Position.Revision, at.Revision)
		}
		assert.Greater(t, reloads, 100)
	})
}

// The storage comes back as another store. The server stops serving, logs an error, and
// serves again when its own store is back.
func TestOtherStoreIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		first := memstore.New()
		swap := &swapped{}
		swap.set(first)
		srv := servertest.Serve(t, swap, diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		at := srv.Publish("a", "1")
		failed := make(chan error, 1)
		go func() {
			_, err := srv.Poll(context.Background(), servertest.PollFor(at, time.Minute, "a"))
			failed <- err
		}()
		synctest.Wait()
		swap.set(memstore.New())
		require.ErrorIs(t, <-failed, conf.ErrUnavailable)
		time.Sleep(5 * time.Second)
		assert.False(t, srv.Status().Ready)
		require.ErrorIs(t, srv.Status().Storage, conf.ErrOtherStore)
		_, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "a")})
		require.ErrorIs(t, err, conf.ErrUnavailable)
		swap.set(first)
		time.Sleep(5 * time.Second)
		assert.Equal(t, "1", srv.MustFetch("a").Entry.Content)
		require.NoError(t, srv.Close())
		assert.Contains(t, log.String(), "level=ERROR")
	})
}

// Nothing that is served depends on the clock of the storage.
func TestS24_ClocksDecideNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &servertest.Clocked{Store: memstore.New()}
		store.Reached.Store, store.Reached.Epoch = storage.NewStoreID(), storage.NextEpoch(0)
		_, err := store.Commit(t.Context(), []conf.ChangeSet{setOf("first", "1")})
		require.NoError(t, err)
		srv := servertest.Serve(t, store)
		at := srv.Publish("a", "1")
		for i, skew := range []time.Duration{-24 * time.Hour, 24 * time.Hour, -365 * 24 * time.Hour, 0} {
			store.Skew = skew
			answer := srv.Parked(servertest.PollFor(at, time.Minute, "a"))
			want := fmt.Sprint("skewed ", i)
			at = srv.Publish("a", want)
			resp := <-answer
			require.Equal(t, want, resp.Changed[0].Entry.Content)
			require.Equal(t, at, resp.Position)
			got := srv.MustFetch("a")
			require.Equal(t, want, got.Entry.Content)
			require.Zero(t, got.Stale)
			require.InDelta(t, skew, time.Until(got.Entry.Modified), float64(time.Second), "else this tests nothing")
		}
	})
}

// S24: a store was restored under a clock that was behind that of the restore before it.
// A client that has seen the earlier restore gets an error that says what to do. The log
// names it at most once a minute.
func TestS24_AClientKnowsANewerGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		srv := servertest.Start(t, memstore.New(), log.option())
		at := srv.Publish("a", "1")
		later := at
		later.Revision += 10
		_, err := srv.Poll(t.Context(), servertest.PollFor(later, 0, "a"))
		require.ErrorIs(t, err, conf.ErrBehind)
		assert.NotContains(t, err.Error(), "restore", "it may come yet")
		assert.Zero(t, log.count("newer generation"), log.String())

		ahead := at
		ahead.Epoch = conf.Epoch{Generation: at.Epoch.Generation + 5, ID: [16]byte{1}}
		advice := fmt.Sprintf("gdiamond restore --above %d", ahead.Epoch.Generation)
		poll := func() {
			_, err := srv.Poll(t.Context(), servertest.PollFor(ahead, 0, "a"))
			require.ErrorIs(t, err, conf.ErrBehind)
			assert.ErrorContains(t, err, advice)
		}
		for minute := range 3 {
			for range 100 {
				poll()
			}
			time.Sleep(59 * time.Second)
			poll()
			assert.Equal(t, minute+1, log.count("a client names a generation of the store that is newer"), log.String())
			assert.NotContains(t, log.String(), "gdiamond restore", "anybody can make up a position, and the operator would lose data")
			time.Sleep(time.Second)
		}
		_, err = srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "a"), After: ahead})
		require.ErrorIs(t, err, conf.ErrBehind)
		assert.ErrorContains(t, err, advice)
		assert.Contains(t, log.String(), fmt.Sprintf("generation=%d here=%d", ahead.Epoch.Generation, at.Epoch.Generation))
	})
}
