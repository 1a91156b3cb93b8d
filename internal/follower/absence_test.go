package follower_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

// A snapshot on disk outlives every answer without the value, except an answer of its own
// store that the key was deleted.
func TestDefect_C6_AnAbsenceWipesNoSnapshot(t *testing.T) {
	for name, answers := range map[string]func(*clienttest.Centre){
		"a stranger's": func(c *clienttest.Centre) {
			c.OnFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
				return &conf.FetchResponse{}, nil
			}
			c.OnPoll = func(context.Context, *conf.PollRequest) (*conf.PollResponse, error) {
				return &conf.PollResponse{}, nil
			}
		},
		"not found, for all": func(c *clienttest.Centre) { c.Fail(&conf.Error{Err: conf.ErrNotFound, Remote: true}) },
		"another store's": func(c *clienttest.Centre) {
			c.With(func() { c.At.Store = conf.StoreID{9}; delete(c.Entries, clienttest.KeyA) })
		},
		"a lost epoch's": func(c *clienttest.Centre) { c.Fork(0) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clienttest.NewCentre()
				c.Set(clienttest.KeyA, "good")
				local := clienttest.NewFiles()
				for _, slot := range []conf.Slot{conf.SlotFetched, conf.SlotLastGood} {
					local.Snapshots[slot][clienttest.KeyA] = clienttest.SnapshotOf(c, clienttest.KeyA)
				}
				answers(c)
				client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
				clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{})
				_, _ = client.Get(t.Context(), clienttest.KeyA)
				time.Sleep(10 * time.Minute)
				for _, slot := range []conf.Slot{conf.SlotFetched, conf.SlotLastGood} {
					s, ok := local.Snapshot(slot, clienttest.KeyA)
					require.True(t, ok)
					assert.False(t, s.Deleted)
					assert.Equal(t, "good", s.Entry.Content)
				}
			})
		})
	}
}
