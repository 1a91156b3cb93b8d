package engine

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/linnaname/gdiamond/conf"
)

// The counts of keys and bytes are those of a recount, after every kind of change.
func TestUsage_IsThatOfARecount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		namespaces := []string{"a", "b", "_c"}
		key := rapid.Custom(func(t *rapid.T) conf.Key {
			return conf.Key{Namespace: rapid.SampledFrom(namespaces).Draw(t, "ns"), Group: "g", DataID: fmt.Sprint(rapid.IntRange(0, 4).Draw(t, "id"))}
		})
		made := func(revision int64) *record {
			r := &record{Entry: conf.Entry{Key: key.Draw(t, "key"), Revision: revision, View: revision, Size: rapid.Int64Range(0, 100).Draw(t, "size")}}
			if r.deleted = rapid.Bool().Draw(t, "deleted"); r.deleted {
				r.Size = 0
			}
			return r
		}
		ix, revision := newIndex(nil), int64(10)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1:
				revision++
				ix.put(made(revision - rapid.Int64Range(0, 5).Draw(t, "late")))
				ix.arrange()
			case 2:
				ix.set(key.Draw(t, "key"), nil)
			case 3:
				r := made(revision)
				ix.set(r.Key, r)
			case 4:
				if n := len(ix.tombs); n > 0 {
					ix.forget(rapid.IntRange(1, n).Draw(t, "forgotten"))
				} else { // loaded anew
					var cells []*cell
					for place := range ix.order.Snapshot().All() {
						if r := place.Load(); !r.deleted {
							cells = append(cells, cellOf(r))
						}
					}
					ix = newIndex(cells)
				}
			}
			want, live := make(map[string]holding), 0
			for place := range ix.order.Snapshot().All() {
				if r := place.Load(); !r.deleted {
					h := want[r.Key.Namespace]
					want[r.Key.Namespace] = holding{h.keys + 1, h.bytes + r.Size}
					live++
				}
			}
			for _, ns := range namespaces {
				keys, bytes := ix.usage.of(ns)
				assert.Equal(t, want[ns], holding{keys, bytes}, ns)
			}
			assert.Equal(t, slices.Sorted(maps.Keys(want)), ix.usage.namespaces())
			assert.EqualValues(t, live, ix.live.Load())
		}
	})
}
