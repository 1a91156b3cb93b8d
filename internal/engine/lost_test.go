package engine_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// A copy that still has the history that was lost, as its disk fails, is not read:
// revisions are other values now.
func TestS10_ReplicaOfLostHistoryIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := memstore.New()
		defer first.Close()
		swap := &swapped{}
		swap.set(first)
		local := copyOn(memstore.New())
		srv := node(t, swap, local)
		for i := range 10 {
			srv.Publish("a", fmt.Sprint("old ", i))
		}
		time.Sleep(time.Second)
		local.fail(conf.Errorf(conf.ErrUnavailable, "the disk fails"), "at", "apply", "install")
		replica := promoted(t, first, 5)
		for i := range 3 {
			_, err := replica.Commit(t.Context(), []conf.ChangeSet{setOf("a", fmt.Sprint("new ", i))})
			require.NoError(t, err)
		}
		swap.set(replica)
		time.Sleep(time.Minute)
		require.EqualValues(t, 1, srv.Status().Counters.Forks)
		got, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "a"), Revision: 6})
		require.NoError(t, err)
		assert.Equal(t, "new 0", got.Entry.Content)
	})
}

// A server that has to load all anew from a storage that is behind what it has
// served goes on from there in a new epoch, and never back.
func TestS10_LoadingAnewNeverGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := memstore.New()
		swap := &swapped{}
		swap.set(first)
		storage := troubledBy(swap)
		srv := servertest.Serve(t, storage)
		for i := range 10 {
			srv.Publish("a", fmt.Sprint("old ", i))
		}
		at := srv.Status().Position
		var compacted atomic.Bool
		storage.set(func(op string) error {
			if op == "changes" && !compacted.Swap(true) {
				return conf.Errorf(conf.ErrCompacted, "what follows went")
			}
			return nil
		}, nil)
		swap.set(promoted(t, first, 5))
		time.Sleep(time.Minute)
		require.True(t, compacted.Load())
		now := srv.Status()
		assert.EqualValues(t, 1, now.Counters.Forks)
		assert.Positive(t, now.Position.Compare(at))
		assert.Equal(t, "old 4", srv.MustFetch("a").Entry.Content)
	})
}

// A copy that is damaged again soon after it was made anew is left alone for a
// while: to make one costs the storage all that it holds.
func TestReplicaDamagedAgainIsLeftAloneForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		local := copyOn(memstore.New())
		srv := node(t, store, local, diamond.WithSelfCheck(1000*time.Hour))
		srv.Publish("a", "1")
		srv.Publish("a", "2")
		time.Sleep(time.Second)
		before := srv.Status().Replica.Installs
		local.fail(conf.Errorf(conf.ErrCorrupt, "a bit flipped"), "read")
		earlier := func() {
			got, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "a"), Revision: 1})
			require.NoError(t, err)
			assert.Equal(t, "1", got.Entry.Content, "from the storage")
			time.Sleep(time.Minute)
		}
		earlier()
		assert.Equal(t, before+1, srv.Status().Replica.Installs)
		for range 5 {
			earlier()
		}
		assert.Equal(t, before+1, srv.Status().Replica.Installs)
		assert.ErrorIs(t, srv.Status().Replica.Err, conf.ErrCorrupt)
		time.Sleep(10 * time.Minute)
		assert.Equal(t, before+2, srv.Status().Replica.Installs)
	})
}

// Polls that wait are answered at once when their server finds another store in
// the place of its own: it has nothing to tell them.
func TestWithdrawalAnswersAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mine, other := memstore.New(), memstore.New()
		defer other.Close()
		swap := &swapped{}
		swap.set(mine)
		srv := servertest.Serve(t, swap)
		at := srv.Publish("a", "1")
		failed := make(chan error, 1)
		go func() {
			_, err := srv.Poll(t.Context(), servertest.PollFor(at, time.Minute, "a"))
			failed <- err
		}()
		synctest.Wait()
		begun := time.Now()
		swap.set(other)
		assert.ErrorIs(t, <-failed, conf.ErrUnavailable)
		assert.Less(t, time.Since(begun), 5*time.Second)
	})
}

// A storage that hangs while a server runs is told by the clock, before any call
// of it has ended.
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
