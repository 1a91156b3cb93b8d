package diamond

import (
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/internal/cowmap"
	"github.com/linnaname/gdiamond/internal/sortedlist"
)

// record is what the server knows of a key as of one revision. It is never
// changed once in the index.
type record struct {
	Entry   // without its content
	deleted bool
	// cached is the content, while it is in memory.
	cached atomic.Pointer[cachedContent]
}

// cell is the place of a key in the index.
type cell = atomic.Pointer[record]

// index has the newest record of every key, and tombstones of those that were
// deleted lately. It is read without a lock; one goroutine at a time writes.
type index struct {
	cells *cowmap.Map[Key, *cell]
	order *sortedlist.List[*cell] // all cells, by key
	live  atomic.Int64            // records that are not tombstones

	fresh []*cell  // that are not in order yet; the writer's
	tombs []tomb   // in order of deletion, also those published over since; the writer's
	undo  *undoLog // of the snapshot being taken, or nil; written under [server.applyMu], the writer may read it without
}

// newIndex returns an index of cells, which are in key order.
func newIndex(cells []*cell) *index {
	ix := &index{order: sortedlist.Collect(compareCells, cells)}
	ix.cells = cowmap.Collect(func(yield func(Key, *cell) bool) {
		for _, place := range cells {
			yield(place.Load().Key, place)
		}
	})
	ix.live.Store(int64(len(cells)))
	return ix
}

func cellOf(r *record) *cell {
	place := new(cell)
	place.Store(r)
	return place
}

func compareCells(a, b *cell) int { return a.Load().Key.Compare(b.Load().Key) }

type tomb struct {
	key      Key
	revision int64
}

const (
	// Tombstones are kept so that polls can be told of deletions by their
	// position. This many are, or a quarter of the keys where that is more.
	minTombs = 10_000
	// maxForget is how many tombstones the feed lets go of between two batches: so
	// many that they do not gather, and so few that it does not stand still.
	maxForget = 2 * MaxChanges
)

// get returns the record of key, nil where there is none.
func (ix *index) get(key Key) *record {
	if s, ok := ix.cells.Load(key); ok {
		return s.Load()
	}
	return nil
}

// put brings the index to r, if that is newer than what it has of the key. It
// returns the record that r replaces, if any, and whether it did. After the
// last put comes arrange.
func (ix *index) put(r *record) (old *record, ok bool) {
	s, loaded := ix.cells.Load(r.Key)
	if loaded {
		old = s.Load()
		if old.Revision >= r.Revision {
			return nil, false
		}
		r.Key = old.Key // shares its strings
		ix.undo.keep(old)
		s.Store(r)
	} else {
		s = cellOf(r)
		ix.cells.Store(r.Key, s)
		ix.fresh = append(ix.fresh, s)
	}
	was, is := old != nil && !old.deleted, !r.deleted
	switch {
	case is && !was:
		ix.live.Add(1)
	case was && !is:
		ix.live.Add(-1)
	}
	if r.deleted {
		ix.tombs = append(ix.tombs, tomb{r.Key, r.Revision})
	}
	return old, true
}

// arrange puts new keys where they belong in the order.
func (ix *index) arrange() {
	if len(ix.fresh) > 0 {
		ix.order.Add(ix.fresh)
		ix.fresh = nil
	}
}

// set makes r what the index has of key, whatever that was; nil: nothing.
func (ix *index) set(key Key, r *record) {
	place, loaded := ix.cells.Load(key)
	was := loaded && !place.Load().deleted
	is := r != nil && !r.deleted
	if loaded {
		ix.undo.keep(place.Load())
	}
	switch {
	case r == nil && loaded:
		ix.cells.Delete(key)
		ix.order.Remove([]*cell{place})
	case r == nil:
	case loaded:
		place.Store(r)
	default:
		place = cellOf(r)
		ix.cells.Store(key, place)
		ix.order.Add([]*cell{place})
	}
	switch {
	case is && !was:
		ix.live.Add(1)
	case was && !is:
		ix.live.Add(-1)
	}
}

// surplus returns how many of the oldest tombstones to let go of now.
func (ix *index) surplus() int {
	over := len(ix.tombs) - max(minTombs, int(ix.live.Load()/4))
	return min(max(over, 0), maxForget)
}

// forget lets go of the n oldest tombstones.
func (ix *index) forget(n int) {
	gone := make([]*cell, 0, n)
	for _, t := range ix.tombs[:n] {
		place, ok := ix.cells.Load(t.key)
		if !ok {
			continue
		}
		if r := place.Load(); r.deleted && r.Revision == t.revision {
			ix.cells.Delete(t.key)
			gone = append(gone, place)
		}
	}
	ix.order.Remove(gone)
	clear(ix.tombs[:n]) // appending moves the rest to new memory, but not at once
	ix.tombs = ix.tombs[n:]
}

// recordOf returns the record that a change leaves behind.
func recordOf(c *Change) *record {
	if c.Op == OpDelete {
		return &record{Entry: Entry{Key: c.Key, Revision: c.Revision, View: c.Revision}, deleted: true}
	}
	r := &record{Entry: c.Entry()}
	r.Content = ""
	return r
}

// state is what the server serves at one moment. Each is immutable but for
// the index in it, which the writer moves on: a record above position belongs
// to a state that is about to come.
type state struct {
	index    *index
	position Position
	floor    int64     // deletions above this revision are in the index
	since    int64     // the revision before the newest batch
	applied  time.Time // when the newest batch was applied
}

// reached reports whether the state is not before p. Two epochs of one
// generation have no order: neither waits for the other.
func (st *state) reached(p Position) bool {
	if st.position.Epoch.Generation == p.Epoch.Generation && st.position.Epoch != p.Epoch {
		return true
	}
	return st.position.Compare(p) >= 0
}
