package diamond

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

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
			return Change{Key: key, Op: op, Revision: revision, Content: "content"[:revision%7]}
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
			bytes := int64(0)
			for _, d := range waiting.waiting {
				for _, config := range d.changed {
					bytes += int64(len(config.Content))
				}
			}
			require.Equal(t, bytes, waiting.bytes)
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

// What waits for a callback that does not return is bounded, however large the contents are.
func TestDeltas_WaitingBytes(t *testing.T) {
	content := strings.Repeat("x", 1<<20)
	var q deltas
	for revision := range int64(500) {
		d := newDelta(revision)
		d.put(Config{Entry: Entry{Key: NewKey("g", "k"), Revision: revision, Content: content}}, true)
		q.push(d)
		waiting := 0
		for _, d := range q.waiting[:cap(q.waiting)] {
			if d != nil {
				waiting += len(d.changed)
			}
		}
		assert.LessOrEqual(t, waiting<<20, maxWaitingBytes, "also what the array keeps")
	}
	for q.pop() != nil {
	}
	assert.Zero(t, q.bytes)
	assert.Zero(t, q.changes)
}

// An entry with the revision and the content of one that was lost may be another version.
func TestEntrySet_SinceSeesEachDifference(t *testing.T) {
	key := NewKey("g", "k")
	lost := Entry{Key: key, Revision: 2, MD5: "m", Type: "json", Modified: time.Unix(1, 0)}
	for name, change := range map[string]func(*Entry){
		"nothing":  func(*Entry) {},
		"revision": func(e *Entry) { e.Revision = 3 },
		"content":  func(e *Entry) { e.MD5 = "n" },
		"type":     func(e *Entry) { e.Type = "yaml" },
		"meta":     func(e *Entry) { e.Meta = map[string]string{"a": "b"} },
		"time":     func(e *Entry) { e.Modified = time.Unix(2, 0) },
	} {
		before, now := newEntrySet(Position{Revision: 2}), newEntrySet(Position{Revision: 3})
		before.put(lost, time.Time{})
		e := lost
		change(&e)
		now.put(e, time.Time{})
		d := now.since(before)
		if name == "nothing" {
			assert.Zero(t, d.size())
			continue
		}
		assert.Equal(t, map[Key]Config{key: now.configs[key]}, d.changed, name)
		assert.False(t, d.created[key], name)
	}
}
