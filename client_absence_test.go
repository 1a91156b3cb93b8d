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
)

// What a client has kept on disk outlives every answer without the value, but
// that of its own store's that the key was deleted.
func TestDefect_C6_AnAbsenceWipesNoSnapshot(t *testing.T) {
	for name, answers := range map[string]func(*centre){
		"a stranger's": func(c *centre) {
			c.onFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
				return &conf.FetchResponse{}, nil
			}
			c.onPoll = func(context.Context, *conf.PollRequest) (*conf.PollResponse, error) {
				return &conf.PollResponse{}, nil
			}
		},
		"not found, for all": func(c *centre) { c.fail(&conf.Error{Err: conf.ErrNotFound, Remote: true}) },
		"another store's":    func(c *centre) { c.with(func() { c.at.Store = conf.StoreID{9}; delete(c.entries, keyA) }) },
		"a lost epoch's":     func(c *centre) { c.fork(0) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCentre()
				c.set(keyA, "good")
				local := newFiles()
				for _, slot := range []conf.Slot{conf.SlotFetched, conf.SlotLastGood} {
					local.snapshots[slot][keyA] = snapshotOf(c, keyA)
				}
				answers(c)
				client := newClient(t, c, diamond.WithLocalFiles(local))
				subscribe(t, client, keyA, &recorder{})
				_, _ = client.Get(t.Context(), keyA)
				time.Sleep(10 * time.Minute)
				for _, slot := range []conf.Slot{conf.SlotFetched, conf.SlotLastGood} {
					s, ok := local.snapshot(slot, keyA)
					require.True(t, ok)
					assert.False(t, s.Deleted)
					assert.Equal(t, "good", s.Entry.Content)
				}
			})
		})
	}
}
