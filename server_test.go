package diamond_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// served is a server under test, with what its tests do all the time.
type served struct {
	diamond.Server
	t testing.TB
}

// serve returns a server on storage. Both are closed at the end of the test.
func serve(t testing.TB, storage diamond.Storage, opts ...diamond.ServerOption) *served {
	t.Helper()
	srv, err := diamond.NewServer(storage, opts...)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, srv.Close())
		require.NoError(t, storage.Close())
	})
	return &served{srv, t}
}

func (s *served) commit(set conf.ChangeSet) (conf.Position, error) {
	resp, err := s.Commit(context.Background(), &conf.CommitRequest{Set: set})
	if err != nil {
		return conf.Position{}, err
	}
	return resp.Position, nil
}

func (s *served) publish(dataID, content string) conf.Position {
	s.t.Helper()
	at, err := s.commit(conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.NewKey("", dataID), Content: content, AllowEmpty: true}}})
	require.NoError(s.t, err)
	return at
}

func (s *served) remove(dataID string) conf.Position {
	s.t.Helper()
	at, err := s.commit(conf.ChangeSet{Deletes: []conf.Delete{{Key: conf.NewKey("", dataID)}}})
	require.NoError(s.t, err)
	return at
}

func (s *served) fetch(dataID string) *conf.FetchResponse {
	s.t.Helper()
	resp, err := s.Fetch(context.Background(), &conf.FetchRequest{Key: conf.NewKey("", dataID)})
	require.NoError(s.t, err)
	return resp
}

// pollFor asks for all that is new of some data ids since p.
func pollFor(p conf.Position, wait time.Duration, dataIDs ...string) *conf.PollRequest {
	keys := make([]conf.Key, len(dataIDs))
	for i, id := range dataIDs {
		keys[i] = conf.NewKey("", id)
	}
	return &conf.PollRequest{Set: conf.HashKeys(keys), Keys: keys, Position: p, Wait: wait}
}

func (s *served) poll(req *conf.PollRequest) *conf.PollResponse {
	s.t.Helper()
	resp, err := s.Poll(context.Background(), req)
	require.NoError(s.t, err)
	return resp
}

// parked polls in the background, and returns once it waits.
func (s *served) parked(req *conf.PollRequest) <-chan *conf.PollResponse {
	s.t.Helper()
	answer := make(chan *conf.PollResponse, 1)
	go func() {
		resp, err := s.Poll(context.Background(), req)
		assert.NoError(s.t, err)
		answer <- resp
	}()
	synctest.Wait()
	return answer
}

func TestServerServesWhatIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := serve(t, memstore.New())
		require.True(t, srv.Status().Ready, "a new server on an empty storage is ready at once")

		absent := srv.fetch("app.yaml")
		assert.False(t, absent.Found)

		at := srv.publish("app.yaml", "rate: 1")
		assert.EqualValues(t, 1, at.Revision)
		got := srv.fetch("app.yaml")
		require.True(t, got.Found, "who has been told of a publish reads it")
		assert.Equal(t, at, got.Position)
		assert.Equal(t, "rate: 1", got.Entry.Content)
		assert.Equal(t, "yaml", got.Entry.Type)
		assert.EqualValues(t, 1, got.Entry.Revision)
		assert.EqualValues(t, 7, got.Entry.Size)

		at = srv.remove("app.yaml")
		gone := srv.fetch("app.yaml")
		assert.False(t, gone.Found)
		assert.Equal(t, at, gone.Position)

		old, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "app.yaml"), Revision: 1})
		require.NoError(t, err)
		assert.Equal(t, "rate: 1", old.Entry.Content, "earlier versions stay readable")
	})
}

func TestPollTellsOfAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := serve(t, memstore.New())
		at := srv.publish("a", "1")

		first := srv.poll(pollFor(conf.Position{}, time.Minute, "a", "b"))
		require.Len(t, first.Changed, 1)
		assert.Equal(t, "1", first.Changed[0].Entry.Content)
		assert.Equal(t, at, first.Position)
		assert.Zero(t, first.Applied, "nothing ended a wait")

		req := pollFor(first.Position, time.Minute, "a", "b")
		req.Keys = nil // known by now
		answer := srv.parked(req)
		assert.Equal(t, 1, srv.Status().Waiters)
		start := time.Now()
		at = srv.publish("b", "2")
		resp := <-answer
		assert.Zero(t, time.Since(start), "at once")
		require.Len(t, resp.Changed, 1)
		assert.Equal(t, conf.NewKey("", "b"), resp.Changed[0].Key)
		assert.Equal(t, "2", resp.Changed[0].Entry.Content)
		assert.Equal(t, at, resp.Position)
		assert.NotZero(t, resp.Applied)
	})
}
