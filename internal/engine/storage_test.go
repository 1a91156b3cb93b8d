package engine_test

import (
	"context"
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
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// silent is a storage that can stop to answer: a call then ends with its context.
type silent struct {
	*memstore.Store
	hangs atomic.Bool
	mu    sync.Mutex
	asked map[string]int // calls that hung, those by the feed apart; guarded by mu
}

func (s *silent) wait(ctx context.Context, op string) error {
	if !s.hangs.Load() {
		return nil
	}
	if conf.FeedRead(ctx) {
		op = "feed"
	}
	s.mu.Lock()
	s.asked[op]++
	s.mu.Unlock()
	<-ctx.Done()
	return storage.Ended(ctx, "silent")
}

func (s *silent) Read(ctx context.Context, key conf.Key, revision int64) (conf.Entry, error) {
	if err := s.wait(ctx, "read"); err != nil {
		return conf.Entry{}, err
	}
	return s.Store.Read(ctx, key, revision)
}

func (s *silent) Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error) {
	if err := s.wait(ctx, "changes"); err != nil {
		return conf.Batch{}, err
	}
	return s.Store.Changes(ctx, after, maxBytes)
}

func (s *silent) Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error) {
	if err := s.wait(ctx, "scan"); err != nil {
		return conf.Page{}, err
	}
	return s.Store.Scan(ctx, req)
}

func (s *silent) History(ctx context.Context, key conf.Key, before int64, limit int) ([]conf.Change, error) {
	if err := s.wait(ctx, "history"); err != nil {
		return nil, err
	}
	return s.Store.History(ctx, key, before, limit)
}

func (s *silent) PositionAt(ctx context.Context, revision int64) (conf.Position, error) {
	if err := s.wait(ctx, "positionAt"); err != nil {
		return conf.Position{}, err
	}
	return s.Store.PositionAt(ctx, revision)
}

func (s *silent) Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	if err := s.wait(ctx, "commit"); err != nil {
		return nil, err
	}
	return s.Store.Commit(ctx, sets)
}

// begun is a storage whose commits have begun when it stops to answer.
type begun struct{ *silent }

func (s begun) Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	if err := s.wait(ctx, "commit"); err != nil {
		return nil, &conf.Error{Err: fmt.Errorf("%w: %w", conf.ErrUnknownOutcome, ctx.Err())}
	}
	return s.Store.Commit(ctx, sets)
}

// A commit that the server's deadline has ended, and not its publisher's, may have
// been done: that is said, and never that it was not.
func TestS8_CommitEndedByTheDeadlineIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := begun{&silent{Store: memstore.New(), asked: make(map[string]int)}}
		srv := servertest.Serve(t, store)
		store.hangs.Store(true)
		start := time.Now()
		_, err := srv.CommitSet(setOf("a", "1"))
		require.ErrorIs(t, err, conf.ErrUnknownOutcome)
		require.NotErrorIs(t, err, conf.ErrUnavailable)
		assert.Equal(t, 30*time.Second, time.Since(start))
		assert.EqualValues(t, 1, srv.Status().Counters.Unknown)
		store.hangs.Store(false)
		time.Sleep(time.Minute)
	})
}

// S8: a storage that says nothing holds no request for longer than a call of it
// may take, though the caller would wait for ever; and the feed says which reads
// are its own.
func TestS8_EveryCallOfTheStorageHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &silent{Store: memstore.New(), asked: make(map[string]int)}
		_, err := store.Store.Commit(t.Context(), []conf.ChangeSet{setOf("a", "1")})
		require.NoError(t, err)
		srv := servertest.Serve(t, store) // it has not seen that change
		srv.Publish("a", "2")
		store.hangs.Store(true)
		requests := map[string]func() error{
			"history": func() error {
				_, err := srv.History(context.Background(), &conf.HistoryRequest{Key: conf.NewKey("", "a")})
				return err
			},
			"read": func() error {
				_, err := srv.Fetch(context.Background(), &conf.FetchRequest{Key: conf.NewKey("", "a"), Revision: 1})
				return err
			},
			"changes": func() error {
				_, err := srv.Server.Changes(context.Background(), &conf.ChangesRequest{})
				return err
			},
			"commit": func() error {
				_, err := srv.Commit(context.Background(), &conf.CommitRequest{Set: setOf("a", "3")})
				return err
			},
		}
		var all sync.WaitGroup
		for op, request := range requests {
			all.Go(func() {
				begun := time.Now()
				err := request()
				assert.ErrorIs(t, err, conf.ErrUnavailable, op)
				assert.NotErrorIs(t, err, context.DeadlineExceeded, "%s: the deadline is not the caller's", op)
				assert.Less(t, time.Since(begun), time.Minute, op)
			})
		}
		all.Wait()
		store.mu.Lock()
		for op := range requests {
			assert.NotZero(t, store.asked[op], op)
		}
		assert.NotZero(t, store.asked["feed"])
		store.mu.Unlock()
		store.hangs.Store(false)
		time.Sleep(time.Minute) // of the test's own clock
		srv.Publish("a", "4")
	})
}

// S8: a copy on disk that says nothing holds a request for no longer than a storage
// does; then the storage is asked.
func TestS8_ACopyThatHangsIsNotWaitedForWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		local := &silent{Store: memstore.New(), asked: make(map[string]int)}
		srv := servertest.Serve(t, store, diamond.WithReplica(local))
		srv.Publish("a", "1")
		srv.Publish("a", "2")
		time.Sleep(time.Second)
		local.hangs.Store(true)
		begun := time.Now()
		got, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "a"), Revision: 1})
		require.NoError(t, err)
		assert.Equal(t, "1", got.Entry.Content)
		assert.Equal(t, 30*time.Second, time.Since(begun))
		local.hangs.Store(false)
		time.Sleep(time.Minute)
	})
}

// S8: a server whose storage hung while it was loaded from is ready once that answers.
func TestS8_AScanThatHangsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &silent{Store: memstore.New(), asked: make(map[string]int)}
		store.hangs.Store(true)
		srv := servertest.Serve(t, store)
		require.False(t, srv.Status().Ready)
		store.hangs.Store(false)
		time.Sleep(time.Minute)
		assert.True(t, srv.Status().Ready)
	})
}

// A server notices a storage that hangs by the time, before any call of the storage has
// returned.
func TestS8_AStorageThatHangsIsToldAsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &silent{Store: memstore.New(), asked: make(map[string]int)}
		srv := servertest.Serve(t, store)
		srv.Publish("a", "1")
		time.Sleep(time.Minute)
		require.Zero(t, srv.MustFetch("a").Stale)
		store.hangs.Store(true)
		time.Sleep(5 * time.Second)
		assert.Positive(t, srv.MustFetch("a").Stale)
		assert.NoError(t, srv.Status().Storage, "no call has ended")
		store.hangs.Store(false)
		time.Sleep(time.Minute)
		assert.Zero(t, srv.MustFetch("a").Stale)
	})
}
