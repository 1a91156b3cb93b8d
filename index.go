package diamond

import (
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/internal/cowmap"
)

// record is what the server knows of a key as of one revision. It is never
// changed once in the index.
type record struct {
	Entry   // without its content
	deleted bool
	// held is the content, while it is in memory.
	held atomic.Pointer[held]
}

// slot is the place of a key in the index.
type slot = atomic.Pointer[record]

// index has the newest record of every key, and tombstones of those that were
// deleted lately. It is read without a lock; one goroutine at a time writes.
type index struct {
	slots *cowmap.Map[Key, *slot]
	live  atomic.Int64 // records that are not tombstones

	tombs []tomb // in order of deletion, also those published over since; the writer's
}

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
	if s, ok := ix.slots.Load(key); ok {
		return s.Load()
	}
	return nil
}

// put brings the index to r, if that is newer than what it has of the key. It
// returns the record that r replaces, if any, and whether it did.
func (ix *index) put(r *record) (old *record, ok bool) {
	s, loaded := ix.slots.Load(r.Key)
	if loaded {
		old = s.Load()
		if old.Revision >= r.Revision {
			return nil, false
		}
		r.Key = old.Key // shares its strings
		s.Store(r)
	} else {
		s = new(slot)
		s.Store(r)
		ix.slots.Store(r.Key, s)
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

// set makes r what the index has of key, whatever that was; nil: nothing.
func (ix *index) set(key Key, r *record) {
	place, loaded := ix.slots.Load(key)
	was := loaded && !place.Load().deleted
	is := r != nil && !r.deleted
	switch {
	case r == nil:
		ix.slots.Delete(key)
	case loaded:
		place.Store(r)
	default:
		place = new(slot)
		place.Store(r)
		ix.slots.Store(key, place)
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
	for _, t := range ix.tombs[:n] {
		if r := ix.get(t.key); r != nil && r.deleted && r.Revision == t.revision {
			ix.slots.Delete(t.key)
		}
	}
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
