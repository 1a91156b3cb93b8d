package engine_test

import (
	"context"
	"fmt"
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

// A server serves its own commits without reading them back. It still reads the storage at
// its interval.
func TestOwnCommitsAreNotReadBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := troubledBy(memstore.New())
		srv := servertest.Serve(t, storage)
		answer := srv.Parked(servertest.PollFor(srv.Status().Position, time.Minute, "key-7"))
		before := storage.count("changes")
		for i := range 10 {
			at := srv.Publish(fmt.Sprintf("key-%d", i), "1")
			assert.Equal(t, at, srv.Status().Position)
			assert.Equal(t, "1", srv.MustFetch(fmt.Sprintf("key-%d", i)).Entry.Content)
		}
		assert.Equal(t, []string{"key-7"}, names(<-answer))
		assert.Equal(t, before, storage.count("changes"), "none was read")
		for range 100 {
			srv.Publish("busy", "x")
			time.Sleep(100 * time.Millisecond)
		}
		read := storage.count("changes") - before
		assert.GreaterOrEqual(t, read, 10, "for 10 s")
		assert.LessOrEqual(t, read, 30)
	})
}

// If another server has committed in between, the storage decides the order.
func TestOwnCommitsAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		storage := troubledBy(store)
		srv := servertest.Serve(t, storage)
		for i := range 20 {
			_, err := store.Commit(t.Context(), []conf.ChangeSet{setOf("a", fmt.Sprint("theirs ", i)), setOf("b", fmt.Sprint(i))})
			require.NoError(t, err)
			at := srv.Publish("a", fmt.Sprint("ours ", i))
			assert.EqualValues(t, 3*(i+1), at.Revision)
			assert.Equal(t, fmt.Sprint("ours ", i), srv.MustFetch("a").Entry.Content)
			assert.Equal(t, fmt.Sprint(i), srv.MustFetch("b").Entry.Content, "theirs came before")
		}
	})
}

// A nudge about another server's commit is not lost among the server's own.
func TestNudgeAmongOwnCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		storage := troubledBy(store)
		srv := servertest.Serve(t, storage, diamond.WithFeedInterval(time.Hour))
		srv.Publish("a", "0")
		storage.set(nil, func(string) error {
			time.Sleep(2 * time.Millisecond) // the result is on its way
			return nil
		})
		for i := range 20 {
			time.Sleep(time.Second)
			hint := func() conf.Position {
				theirs, err := store.Commit(t.Context(), []conf.ChangeSet{setOf("b", fmt.Sprint(i))})
				require.NoError(t, err)
				srv.Nudge(theirs[0].Position)
				return theirs[0].Position
			}
			hint()
			time.Sleep(time.Millisecond)
			done := make(chan conf.Position, 1)
			go func() { done <- srv.Publish("a", fmt.Sprint(i)) }()
			time.Sleep(time.Millisecond)
			theirs := hint() // too soon after the last one: it waits
			<-done
			time.Sleep(100 * time.Millisecond)
			assert.Equal(t, theirs, srv.Status().Position)
			assert.Equal(t, fmt.Sprint(i), srv.MustFetch("b").Entry.Content)
		}
	})
}

// liar is a storage whose results tell of changes that are not those committed.
type liar struct{ *memstore.Store }

func (s liar) Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	results, err := s.Store.Commit(ctx, sets)
	for i := range results {
		told := append([]conf.Change(nil), results[i].Changes...)
		for j := range told {
			told[j].Key.DataID = "another"
		}
		results[i].Changes = told
	}
	return results, err
}

// The changes in a result are served only if the chain proves them.
func TestOwnCommitsAreVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, liar{memstore.New()})
		at := srv.Publish("a", "1")
		assert.Equal(t, at, srv.Status().Position)
		assert.Equal(t, "1", srv.MustFetch("a").Entry.Content, "it was read from the storage")
		_, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "another")})
		require.NoError(t, err)
		assert.EqualValues(t, 1, srv.Status().Keys)
	})
}
