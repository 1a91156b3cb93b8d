package diamond

import (
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestDeltas: whatever waits for a callback and is merged, the Updates lead to the same
// state, and say of no key that it is gone that was not there. What others share is
// not changed.
func TestDeltas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := newEntrySet(Position{})
		change := func(key Key, revision int64) Change {
			op := rapid.SampledFrom([]Op{OpPublish, OpPublish, OpDelete}).Draw(t, "op")
			return Change{Key: key, Op: op, Revision: revision}
		}
		keys := rapid.SliceOfNDistinct(rapid.IntRange(0, 799), 300, 600, rapid.ID)
		var waiting deltas
		state := map[Key]Config{}
		shared := map[*delta]map[Key]Config{}
		for i := range rapid.IntRange(1, 12).Draw(t, "sets") {
			revision := int64(i + 1)
			resp := &ChangesResponse{Position: Position{Revision: revision}}
			for _, n := range keys.Draw(t, "keys") {
				resp.Changes = append(resp.Changes, change(NewKey("", fmt.Sprint(n)), revision))
			}
			ds, err := entries.advance(resp)
			require.NoError(t, err)
			if i == 0 {
				ds = []*delta{entries.whole()}
			}
			for _, d := range ds {
				shared[d] = maps.Clone(d.changed)
				waiting.push(d)
			}
			if rapid.IntRange(0, 3).Draw(t, "pops") == 0 {
				apply(t, state, waiting.pop())
			}
			changes := 0
			for _, d := range waiting.waiting {
				changes += d.size()
			}
			require.Equal(t, changes, waiting.changes)
			require.True(t, changes <= maxWaiting || len(waiting.waiting) == 1)
		}
		for len(waiting.waiting) > 0 {
			apply(t, state, waiting.pop())
		}
		assert.Equal(t, entries.configs, state)
		for d, changed := range shared {
			assert.Equal(t, changed, d.changed)
		}
	})
}

func apply(t *rapid.T, state map[Key]Config, d *delta) {
	if d == nil {
		return
	}
	u := d.update()
	for _, key := range u.Deleted {
		_, existed := state[key]
		require.True(t, existed, "%s", key)
		delete(state, key)
	}
	maps.Copy(state, u.Changed)
}
