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

	"runtime"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// A content that is not in memory is loaded once for all callers that wait for it, and a
// caller that leaves does not make the others fail.
func TestContentsAreLoadedOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		servertest.Start(t, store).Publish("a", "1")
		storage := troubledBy(store)
		srv := servertest.Serve(t, storage)
		release := make(chan struct{})
		storage.set(func(op string) error {
			if op == "read" {
				<-release
			}
			return nil
		}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := srv.Fetch(ctx, &conf.FetchRequest{Key: conf.NewKey("", "a")})
			failed <- err
		}()
		synctest.Wait()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { assert.Equal(t, "1", srv.MustFetch("a").Entry.Content) })
		}
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-failed, context.Canceled)
		close(release)
		all.Wait()
		srv.MustFetch("a")
		assert.Equal(t, 1, storage.count("read"))
		c := srv.Status().Counters
		assert.EqualValues(t, 1, c.CacheLoads)
		assert.EqualValues(t, 1, c.CacheHits)
		assert.EqualValues(t, 1, srv.Status().CacheSize)

		storage.heal()
		time.Sleep(2*time.Hour + 2*time.Minute)
		assert.Zero(t, srv.Status().CacheSize, "what nobody asks for goes, in time")
		assert.Equal(t, "1", srv.MustFetch("a").Entry.Content)
	})
}

// Warm reads and polls do not use the storage, even while commits hang in it.
func TestS16_ReadsUseNoStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := troubledBy(memstore.New())
		srv := servertest.Serve(t, storage, diamond.WithFeedInterval(time.Hour))
		at := srv.Publish("a", "1")
		release := make(chan struct{})
		var used atomic.Int64
		storage.set(func(op string) error {
			if used.Add(1); op == "commit" {
				<-release
			}
			return nil
		}, nil)
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() { srv.Publish(fmt.Sprint("hanging-", i), "1") })
		}
		synctest.Wait()
		require.EqualValues(t, 1, used.Load())
		for range 5000 {
			require.Equal(t, "1", srv.MustFetch("a").Entry.Content)
		}
		for range 100 {
			all.Go(func() { srv.MustPoll(servertest.PollFor(at, 10*time.Second, "a")) })
		}
		time.Sleep(20 * time.Second)
		assert.EqualValues(t, 1, used.Load())
		assert.EqualValues(t, 100, srv.Status().Counters.PollTimeout)
		close(release)
		all.Wait()
	})
}

// A version may leave the storage before the index has its successor. A read then waits
// for the successor, and does not return "not found".
func TestFetchOfAVersionThatWent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.WithRetention(storage.Retention{Changes: 1, Versions: 1, Age: time.Nanosecond}))
		peer := servertest.Start(t, store)
		peer.Publish("a", "1")
		hidden := troubledBy(store)
		srv := servertest.Serve(t, hidden)
		hidden.fail(conf.Errorf(conf.ErrUnavailable, "cut off"), "changes", "scan")
		for i := range 5 {
			time.Sleep(time.Millisecond) // so that they age
			peer.Publish("a", fmt.Sprint("later ", i))
		}
		_, err := store.Read(t.Context(), conf.NewKey("", "a"), 1)
		require.ErrorIs(t, err, conf.ErrCompacted, "else this tests nothing")
		_, err = srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "a")})
		require.ErrorIs(t, err, conf.ErrUnavailable)
		time.AfterFunc(time.Second, hidden.heal)
		assert.Equal(t, "later 4", srv.MustFetch("a").Entry.Content)
	})
}

// Memory is bounded by the budget, whatever is read.
func TestContentsKeepToTheirBudget(t *testing.T) {
	const budget = 1 << 20
	srv := servertest.Serve(t, memstore.New(), diamond.WithCacheBytes(budget))
	for i := range 200 {
		srv.Publish(fmt.Sprint("key-", i), strings.Repeat("x", 20<<10))
	}
	srv.Publish("larger", strings.Repeat("x", budget/2))
	size := srv.Status().CacheSize
	assert.LessOrEqual(t, size, int64(budget))
	assert.Greater(t, size, int64(budget*9/10))
	for i := range 200 {
		require.Len(t, srv.MustFetch(fmt.Sprint("key-", i)).Entry.Content, 20<<10)
	}
	require.Len(t, srv.MustFetch("larger").Entry.Content, budget/2)
	assert.LessOrEqual(t, srv.Status().CacheSize, int64(budget))
}

// Contents that were read lately stay when the cache is full, and setting the wall clock
// drops nothing.
func TestContentsThatAreReadStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &countingReads{Storage: memstore.New()}
		srv := servertest.Start(t, store, diamond.WithCacheBytes(64<<10))
		content := strings.Repeat("x", 4<<10)
		for i := range 40 {
			srv.Publish(fmt.Sprint(i), content+fmt.Sprint(i))
		}
		read := func(i int) {
			t.Helper()
			_, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", fmt.Sprint(i))})
			require.NoError(t, err)
		}
		read(0)
		before := store.reads.Load()
		for i := 1; i < 40; i++ {
			read(0)
			read(i)
		}
		assert.EqualValues(t, 39, store.reads.Load()-before, "the one that is read again and again is never loaded again")
		before = store.reads.Load()
		for range 6 {
			time.Sleep(50 * time.Minute)
			read(0)
		}
		assert.Zero(t, store.reads.Load()-before, "nor for its age")
	})
}

// countingReads counts the reads of contents.
type countingReads struct {
	diamond.Storage
	reads atomic.Int64
}

func (s *countingReads) Read(ctx context.Context, key conf.Key, revision int64) (conf.Entry, error) {
	s.reads.Add(1)
	return s.Storage.Read(ctx, key, revision)
}

// hangingReads is a storage of which reads of contents hang.
type hangingReads struct{ diamond.Storage }

func (hangingReads) Read(ctx context.Context, _ conf.Key, _ int64) (conf.Entry, error) {
	<-ctx.Done()
	return conf.Entry{}, ctx.Err()
}

// A storage that hangs holds few goroutines, however many contents callers ask for, and
// callers are told to try again later.
func TestContents_LoadsAreBounded(t *testing.T) {
	store := memstore.New()
	const keys = 4000
	for at := 0; at < keys; at += conf.MaxChanges {
		var set conf.ChangeSet
		for i := range conf.MaxChanges {
			set.Drafts = append(set.Drafts, conf.Draft{Key: conf.NewKey("", fmt.Sprint(at+i)).Canonical(), Content: "x"})
		}
		_, err := store.Commit(t.Context(), []conf.ChangeSet{set})
		require.NoError(t, err)
	}
	srv := servertest.Start(t, hangingReads{store})
	before := runtime.NumGoroutine()
	for i := range keys {
		ctx, leave := context.WithTimeout(t.Context(), 100*time.Microsecond)
		_, err := srv.Fetch(ctx, &conf.FetchRequest{Key: conf.NewKey("", fmt.Sprint(i))})
		leave()
		require.Error(t, err)
		require.Less(t, runtime.NumGoroutine()-before, 2500)
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine()-before < 100 }, time.Minute, 10*time.Millisecond,
		"who waited for a turn gives up")
	_, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "3999")})
	require.ErrorIs(t, err, conf.ErrOverloaded)
}
