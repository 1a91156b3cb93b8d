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

// A server that is behind what the caller has seen waits for as long as a fetch would, does
// nothing, and counts the set as refused: that is no failure that an alert is for.
func TestSeen_ASetWaitsAsLongAsAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		ahead := srv.Publish("k", "1")
		ahead.Revision += 2
		before := srv.Status().Counters
		set := conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.NewKey("", "late"), Content: "x"}}}
		for name, ask := range map[string]func() error{
			"fetch": func() error {
				_, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "k"), After: ahead})
				return err
			},
			"commit": func() error {
				_, err := srv.Commit(t.Context(), &conf.CommitRequest{Set: set, Seen: ahead})
				return err
			},
			"list": func() error {
				_, err := srv.List(t.Context(), &conf.ListRequest{Seen: ahead})
				return err
			},
			"history": func() error {
				_, err := srv.History(t.Context(), &conf.HistoryRequest{Key: conf.NewKey("", "k"), Seen: ahead})
				return err
			},
		} {
			began := time.Now()
			require.ErrorIs(t, ask(), conf.ErrBehind, name)
			assert.Equal(t, 3*time.Second, time.Since(began), name)
		}
		counted := srv.Status().Counters
		assert.Equal(t, before.Refused+1, counted.Refused)
		assert.Equal(t, before.Failed, counted.Failed)
		assert.Equal(t, before.Committed, counted.Committed)

		// What breaks a rule is refused at once, and one that may be done is done when it may.
		began := time.Now()
		_, err := srv.Commit(t.Context(), &conf.CommitRequest{Seen: ahead})
		require.ErrorIs(t, err, conf.ErrInvalid)
		assert.Zero(t, time.Since(began))
		time.AfterFunc(time.Second, func() { srv.Publish("k", "2"); srv.Publish("k", "3") })
		res, err := srv.Commit(t.Context(), &conf.CommitRequest{Set: set, Seen: ahead})
		require.NoError(t, err)
		assert.Greater(t, res.Position.Revision, ahead.Revision)
		assert.Equal(t, time.Second, time.Since(began))
	})
}
