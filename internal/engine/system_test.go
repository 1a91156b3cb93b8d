package engine_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/engine"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// The inner door serves what the public one refuses, in the same store and history.
func TestSystem_ServesWhatThePublicDoorRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		inner := srv.Server.(*engine.Server).System()
		key := conf.Key{Namespace: "_rights", Group: "roles", DataID: "admin"}
		srv.Publish("public", "1")
		set := conf.ChangeSet{Drafts: []conf.Draft{{Key: key, Content: "{}"}, {Key: conf.NewKey("", "beside"), Content: "2"}}}

		_, err := srv.CommitSet(set)
		require.ErrorIs(t, err, conf.ErrDenied)
		committed, err := inner.Commit(t.Context(), &conf.CommitRequest{Set: set})
		require.NoError(t, err, "both kinds of keys in one set")
		assert.EqualValues(t, 2, committed.Position.Revision)

		fetched, err := inner.Fetch(t.Context(), &conf.FetchRequest{Key: key})
		require.NoError(t, err)
		assert.Equal(t, "{}", fetched.Entry.Content)
		listed, err := inner.List(t.Context(), &conf.ListRequest{Namespace: "_rights"})
		require.NoError(t, err)
		assert.Len(t, listed.Entries, 1)
		past, err := inner.History(t.Context(), &conf.HistoryRequest{Key: key})
		require.NoError(t, err)
		assert.Len(t, past.Changes, 1)
		changes, err := inner.Changes(t.Context(), &conf.ChangesRequest{Namespace: "_rights"}, nil)
		require.NoError(t, err)
		require.Len(t, changes.Changes, 1)
		assert.Equal(t, key, changes.Changes[0].Key)

		_, err = srv.Fetch(t.Context(), &conf.FetchRequest{Key: key})
		require.ErrorIs(t, err, conf.ErrDenied)
		_, err = srv.List(t.Context(), &conf.ListRequest{Namespace: "_rights"})
		require.ErrorIs(t, err, conf.ErrDenied)
		_, err = srv.History(t.Context(), &conf.HistoryRequest{Key: key})
		require.ErrorIs(t, err, conf.ErrDenied)
		_, err = srv.Changes(t.Context(), &conf.ChangesRequest{Namespace: "_rights"})
		require.ErrorIs(t, err, conf.ErrDenied)
		all := srv.Listed(conf.ListRequest{Namespace: conf.AllNamespaces})
		assert.Equal(t, []string{"public/DEFAULT_GROUP/beside", "public/DEFAULT_GROUP/public"}, all)
		watched, err := srv.Changes(t.Context(), &conf.ChangesRequest{Namespace: conf.AllNamespaces})
		require.NoError(t, err)
		assert.Len(t, watched.Changes, 2)
		keys := []conf.Key{key}
		polled := srv.MustPoll(&conf.PollRequest{Set: conf.HashKeys(keys), Keys: keys})
		assert.Empty(t, polled.Changed)
		assert.Len(t, polled.Denied, 1)
	})
}

// The inner door checks all else as the public one does, and counts what it does there.
func TestSystem_ChecksAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		inner := srv.Server.(*engine.Server).System()
		bad := conf.Key{Namespace: "_rights", Group: "a b", DataID: "x"}
		_, err := inner.Fetch(t.Context(), &conf.FetchRequest{Key: bad})
		require.ErrorIs(t, err, conf.ErrInvalid)
		_, err = inner.History(t.Context(), &conf.HistoryRequest{Key: bad})
		require.ErrorIs(t, err, conf.ErrInvalid)
		_, err = inner.List(t.Context(), &conf.ListRequest{Namespace: "_rights", Group: "a b"})
		require.ErrorIs(t, err, conf.ErrInvalid)
		_, err = inner.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: bad, Content: "x"}}}})
		require.ErrorIs(t, err, conf.ErrInvalid)
		var e *conf.Error
		require.ErrorAs(t, err, &e)
		assert.True(t, e.Remote)
		assert.Equal(t, "commit", e.Op)
		assert.EqualValues(t, 1, srv.Status().Counters.Refused)

		require.NoError(t, srv.Close())
		_, err = inner.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "x")})
		require.ErrorIs(t, err, conf.ErrClosed)
	})
}
