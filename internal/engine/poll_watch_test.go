package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// However many watches wait, and whatever they filter, neither a change nor their answers
// cost the storage more than without them.
func TestWatchesCostTheStorageNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const watches = 100
		store := memstore.New()
		storage := troubledBy(store)
		srv := servertest.Serve(t, storage)
		at := srv.Publish("a", "0")
		all := srv.Watching(watches, "other", at, time.Minute)
		require.Equal(t, watches, srv.Status().Waiters)
		reads := func() int {
			return storage.count("changes") + storage.count("read") + storage.count("scan") + storage.count("history")
		}
		feedReads := func() { // until then; the next time is nearly an interval later
			for before := storage.count("changes"); storage.count("changes") == before; {
				time.Sleep(time.Millisecond)
			}
			synctest.Wait()
		}
		feedReads()
		before := reads()
		srv.Publish("a", "1")
		synctest.Wait()
		assert.Equal(t, before, reads())

		_, err := store.Commit(t.Context(), []conf.ChangeSet{setOf("a", "of another server")})
		require.NoError(t, err)
		feedReads()
		require.EqualValues(t, 3, srv.Status().Position.Revision)
		assert.Equal(t, before+1, reads(), "the feed's own")

		srv.Publish("other-1", "x") // and that of other-10, other-11 and so on are of the others
		synctest.Wait()
		assert.Equal(t, before+1, reads())
		assert.Equal(t, watches-1, srv.Status().Waiters)
		assert.Equal(t, 1, <-all)
	})
}

// A server reads a database that is behind. A watch reads it at the interval of the feed,
// and returns the next changes once they are there.
func TestS13_WatchBesideALaggingDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		storage := &lagging{Store: store}
		counted := troubledBy(storage)
		srv := servertest.Serve(t, counted)
		old := srv.Publish("large", "first")
		for range 20 { // more than is kept in memory
			srv.Publish("large", strings.Repeat("x", 1<<20))
		}
		storage.set(servertest.WithoutTail(t, store, old.Revision))
		before := counted.count("changes")
		counted.set(func(op string) error {
			if counted.count("changes")-before > 60 { // of the feed and of the watches in 15 s
				return conf.Errorf(conf.ErrInvalid, "asked too often")
			}
			return nil
		}, nil)
		start := time.Now()
		resp, err := srv.Changes(t.Context(), &conf.ChangesRequest{After: old, Wait: 10 * time.Second})
		require.NoError(t, err)
		assert.Empty(t, resp.Changes)
		assert.Equal(t, 10*time.Second, time.Since(start))

		caughtUp := time.AfterFunc(5*time.Second, func() { storage.set(nil) })
		defer caughtUp.Stop()
		start = time.Now()
		resp, err = srv.Changes(t.Context(), &conf.ChangesRequest{After: old, Wait: time.Minute})
		require.NoError(t, err)
		require.NotEmpty(t, resp.Changes)
		assert.EqualValues(t, old.Revision+1, resp.Changes[0].Revision)
		assert.LessOrEqual(t, time.Since(start), 7*time.Second)
	})
}

// An answer from memory ends like one from the storage: before it has too many bytes, and
// with More set.
func TestWatchAnswersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		start := srv.Publish("a", "0")
		for i := range 10 {
			srv.Publish(fmt.Sprint("key-", i%2), strings.Repeat("x", 300<<10))
		}
		end := srv.Status().Position
		var answers, changes int
		for after := start; after != end; answers++ {
			resp, err := srv.Changes(t.Context(), &conf.ChangesRequest{After: after, Prefix: "key-1", Contents: true})
			require.NoError(t, err)
			require.LessOrEqual(t, len(resp.Changes), 4)
			require.Equal(t, resp.Position != end, resp.More)
			changes, after = changes+len(resp.Changes), resp.Position
		}
		assert.Equal(t, 5, changes)
		assert.Equal(t, 2, answers)
	})
}
