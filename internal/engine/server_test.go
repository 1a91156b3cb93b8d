package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

func TestServerServesWhatIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		require.True(t, srv.Status().Ready, "a new server on an empty storage is ready at once")

		absent := srv.MustFetch("app.yaml")
		assert.False(t, absent.Found)

		at := srv.Publish("app.yaml", "rate: 1")
		assert.EqualValues(t, 1, at.Revision)
		got := srv.MustFetch("app.yaml")
		require.True(t, got.Found, "who has been told of a publish reads it")
		assert.Equal(t, at, got.Position)
		assert.Equal(t, "rate: 1", got.Entry.Content)
		assert.Equal(t, "yaml", got.Entry.Type)
		assert.EqualValues(t, 1, got.Entry.Revision)
		assert.EqualValues(t, 7, got.Entry.Size)

		at = srv.Remove("app.yaml")
		gone := srv.MustFetch("app.yaml")
		assert.False(t, gone.Found)
		assert.Equal(t, at, gone.Position)

		old, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "app.yaml"), Revision: 1})
		require.NoError(t, err)
		assert.Equal(t, "rate: 1", old.Entry.Content, "earlier versions stay readable")
	})
}

func TestPollTellsOfAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		at := srv.Publish("a", "1")

		first := srv.MustPoll(servertest.PollFor(conf.Position{}, time.Minute, "a", "b"))
		require.Len(t, first.Changed, 1)
		assert.Equal(t, "1", first.Changed[0].Entry.Content)
		assert.Equal(t, at, first.Position)
		assert.Zero(t, first.Applied, "nothing ended a wait")

		req := servertest.PollFor(first.Position, time.Minute, "a", "b")
		req.Keys = nil // known by now
		answer := srv.Parked(req)
		assert.Equal(t, 1, srv.Status().Waiters)
		start := time.Now()
		at = srv.Publish("b", "2")
		resp := <-answer
		assert.Zero(t, time.Since(start), "at once")
		require.Len(t, resp.Changed, 1)
		assert.Equal(t, conf.NewKey("", "b"), resp.Changed[0].Key)
		assert.Equal(t, "2", resp.Changed[0].Entry.Content)
		assert.Equal(t, at, resp.Position)
		assert.NotZero(t, resp.Applied)
	})
}
