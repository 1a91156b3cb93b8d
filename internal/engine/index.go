package engine

import (
	"container/list"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/cowmap"
	"github.com/linnaname/gdiamond/internal/sortedlist"
)

// record is what the server knows about a key as of one revision. It is never
// changed once it is in the index.
type record struct {
	conf.Entry // without its content
	deleted    bool
	// cached is the content, while it is in memory.
	cached atomic.Pointer[cachedContent]
}

// Marker is the key of the entry that a governed store has. A server whose store has it
// serves only through [System], unless its [Config] says otherwise.
var Marker = conf.Key{Namespace: "_govern", Group: "centre", DataID: "marker"}

// cell is the place of a key in the index.
type cell = atomic.Pointer[record]

// index has the newest record of every key, and tombstones of the keys that were
// deleted lately. Readers take no lock; one goroutine at a time writes.
type index struct {
	cells *cowmap.Map[conf.Key, *cell]
	order *sortedlist.List[*cell] // all cells, by key
	live  atomic.Int64            // records that are not tombstones
	usage *usage                  // of those, by namespace

	fresh []*cell  // new ones, which are not in order yet; the writer's
	tombs []tomb   // in order of deletion, including those of keys published since; the writer's
	undo  *undoLog // of the snapshot being taken, or nil; guarded by [served].mu
}

// newIndex returns an index of cells, which are in key order.
func newIndex(cells []*cell) *index {
	ix := &index{order: sortedlist.Collect(compareCells, cells), usage: newUsage()}
	ix.cells = cowmap.Collect(func(yield func(conf.Key, *cell) bool) {
		for _, place := range cells {
			yield(place.Load().Key, place)
		}
	})
	for _, place := range cells {
		ix.count(nil, place.Load())
	}
	return ix
}

// count counts that r has replaced old. Either may be nil or a tombstone.
func (ix *index) count(old, r *record) {
	if !old.absent() {
		ix.live.Add(-1)
		ix.usage.add(old.Key.Namespace, -1, -old.Size)
	}
	if !r.absent() {
		ix.live.Add(1)
		ix.usage.add(r.Key.Namespace, 1, r.Size)
	}
}

func cellOf(r *record) *cell {
	place := new(cell)
	place.Store(r)
	return place
}

func compareCells(a, b *cell) int { return a.Load().Key.Compare(b.Load().Key) }

type tomb struct {
	key  conf.Key
	view int64
}

const (
	// minTombs is the number of tombstones that are kept, or a quarter of the number of
	// keys if that is more. A poll that names only a position learns of deletions by them.
	minTombs = 10_000
	// maxForget is the number of tombstones that the feed drops between two batches: enough
	// that they do not pile up, and few enough that the feed does not stand still.
	maxForget = 2 * conf.MaxChanges
)

// get returns the record of key, or nil if there is none.
func (ix *index) get(key conf.Key) *record {
	if s, ok := ix.cells.Load(key); ok {
		return s.Load()
	}
	return nil
}

// put stores r if it is newer than the record of its key. It returns the record that r
// replaced, if any, and whether r was stored. A series of puts ends with arrange.
func (ix *index) put(r *record) (old *record, ok bool) {
	s, loaded := ix.cells.Load(r.Key)
	if loaded {
		old = s.Load()
		if old.view() >= r.view() {
			return nil, false
		}
		r.Key = old.Key // shares the strings of the key with the old record, which saves memory
		ix.undo.keep(old)
		s.Store(r)
	} else {
		s = cellOf(r)
		ix.cells.Store(r.Key, s)
		ix.fresh = append(ix.fresh, s)
	}
	ix.count(old, r)
	if r.deleted {
		ix.tombs = append(ix.tombs, tomb{r.Key, r.view()})
	}
	return old, true
}

// arrange adds the new keys to the order.
func (ix *index) arrange() {
	if len(ix.fresh) > 0 {
		ix.order.Add(ix.fresh)
		ix.fresh = nil
	}
}

// set makes r the record of key, even if the present one is newer. A nil r removes the key.
func (ix *index) set(key conf.Key, r *record) {
	place, loaded := ix.cells.Load(key)
	var old *record
	if loaded {
		old = place.Load()
		ix.undo.keep(old)
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
	ix.count(old, r)
}

// systemRecords returns the records of system keys that are not tombstones, in key order.
func (ix *index) systemRecords() (records []*record) {
	for place := range ix.order.Snapshot().From(func(p *cell) bool { return p.Load().Key.Namespace < firstSystem }) {
		r := place.Load()
		if !r.Key.System() {
			break // the namespaces of the system stand together
		}
		if !r.deleted {
			records = append(records, r)
		}
	}
	return records
}

// firstSystem is the first namespace in the order of keys that could be one of the system.
const firstSystem = "_"

// surplus returns how many of the oldest tombstones to drop now.
func (ix *index) surplus() int {
	over := len(ix.tombs) - max(minTombs, int(ix.live.Load()/4))
	return min(max(over, 0), maxForget)
}

// forget drops the n oldest tombstones.
func (ix *index) forget(n int) {
	gone := make([]*cell, 0, n)
	for _, t := range ix.tombs[:n] {
		place, ok := ix.cells.Load(t.key)
		if !ok {
			continue
		}
		if r := place.Load(); r.deleted && r.view() == t.view {
			ix.cells.Delete(t.key)
			gone = append(gone, place)
		}
	}
	ix.order.Remove(gone)
	clear(ix.tombs[:n]) // their memory is only freed when append moves the rest
	ix.tombs = ix.tombs[n:]
}

// recordOf returns the record that a change leaves behind.
func recordOf(c *conf.Change) *record {
	if c.Op == conf.OpDelete {
		return &record{Entry: conf.Entry{Key: c.Key, Revision: c.Revision, View: c.Revision}, deleted: true}
	}
	r := &record{Entry: c.Entry()}
	r.Content = ""
	return r
}

// state is what the server serves at one moment. A state is immutable except for its
// index, which the feed updates first: records above position belong to the next state.
type state struct {
	index    *index
	position conf.Position
	governed bool      // the store has the marker of governance
	floor    int64     // deletions above this revision are in the index
	since    int64     // the revision before the newest batch
	applied  time.Time // when the newest batch was applied
}

// reached reports whether the state is not before p. Two epochs of one
// generation have no order: neither waits for the other.
func (st *state) reached(p conf.Position) bool {
	if st.position.Epoch.Generation == p.Epoch.Generation && st.position.Epoch != p.Epoch {
		return true
	}
	return st.position.Compare(p) >= 0
}

// cachedContent is a content in memory.
type cachedContent struct {
	entry   conf.Entry // with its content
	record  *record
	key     string // in items
	element *list.Element
	read    atomic.Bool // since it took its place in order
	placed  time.Time   // when it did; guarded by contents.mu
}

// undoLog keeps the records that are replaced while all of an index is read.
type undoLog struct {
	replaced map[conf.Key]*record // as they were when the reading began
}

// keep keeps a record that is about to be replaced, unless an earlier one of its key was
// replaced already. A nil log keeps nothing.
func (u *undoLog) keep(old *record) {
	if u == nil {
		return
	}
	if _, ok := u.replaced[old.Key]; !ok {
		u.replaced[old.Key] = old
	}
}

// verify returns an error if e, with its content, is not the entry that r stands for.
func (r *record) verify(e *conf.Entry) error {
	switch {
	case conf.MD5Hex(e.Content) != e.MD5:
		return conf.Errorf(conf.ErrCorrupt, "the content of revision %d does not have its digest", r.Revision)
	case e.Revision != r.Revision || e.MD5 != r.MD5:
		return conf.Errorf(conf.ErrNotFound, "revision %d is another value now", r.Revision)
	}
	return nil
}

// says reports whether r and o are of the same revision and say the same. After a loss of
// history, two different records may have the same revision.
func (r *record) says(o *record) bool {
	return r.deleted == o.deleted && r.standsFor(&o.Entry)
}

// standsFor reports whether r is the record of e.
func (r *record) standsFor(e *conf.Entry) bool {
	return r.Key == e.Key && r.Revision == e.Revision && r.view() == max(e.View, e.Revision) && r.MD5 == e.MD5 && r.Size == e.Size &&
		r.Type == e.Type && r.Modified.Equal(e.Modified) && maps.Equal(r.Meta, e.Meta)
}

// absent reports whether r says that its key has no value; a nil r does.
func (r *record) absent() bool { return r == nil || r.deleted }

func (r *record) revision() int64 {
	if r == nil {
		return 0
	}
	return r.Revision
}

// view returns the highest revision among the changes that chose r, which orders it among the
// records of its key and among positions; see [conf.Entry.View].
func (r *record) view() int64 {
	if r == nil {
		return 0
	}
	return max(r.View, r.Revision)
}

// isAfter reports whether r is of a change after p.
func isAfter(r *record, p conf.Position) bool { return r.view() > p.Revision }

// sameRecord reports whether two records say the same of a key.
func sameRecord(a, b *record) bool {
	if a.absent() || b.absent() {
		return a.absent() == b.absent()
	}
	return a.standsFor(&b.Entry)
}

// reuse returns the state's own record if it says the same as r, because its content may be
// in memory. Otherwise it returns r.
func (st *state) reuse(r *record) *record {
	if st != nil {
		if have := st.index.get(r.Key); have != nil && have.says(r) {
			return have
		}
	}
	return r
}

// lacks returns the keys that were changed in old after revision kept and whose change st
// does not have.
func (st *state) lacks(old *state, kept int64) []string {
	var keys []string
	for key, place := range old.index.cells.All() {
		r := place.Load()
		if r.view() <= kept {
			continue
		}
		have := st.index.get(key)
		if same := have != nil && have.view() == r.view() && have.Revision == r.Revision && have.MD5 == r.MD5; same || have == nil && r.deleted {
			continue
		}
		keys = append(keys, key.String())
	}
	slices.Sort(keys)
	return keys
}

// pick returns the record of a key that a caller is shown in st, given the record in the
// index, which may be nil. Reads, polls and lists all choose by it. Ok is false if the
// index is ahead of st for the key.
func (st *state) pick(r *record) (picked *record, ok bool) {
	if isAfter(r, st.position) {
		return nil, false
	}
	return r, true
}

// past reports whether there are changes after p.
func (st *state) past(p conf.Position) bool {
	return st.position != p && st.reached(p)
}
