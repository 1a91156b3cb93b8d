package mysqlstore

import (
	"context"
	"maps"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// writer collects the rows that a transaction adds to the log and the current view, so that
// it writes them in few statements.
type writer struct {
	*transaction
	current map[conf.Key]*current // of all written keys
	changes []version
	newest  map[conf.Key]int // the index in changes of each key's newest version
	gone    []rowID          // rows of diamond_change that changes replace
	moved   map[conf.Key]bool
}

// rowID is the primary key of a row of diamond_change.
type rowID struct{ revision, number int64 }

func (t *transaction) writer() *writer {
	return &writer{
		transaction: t, current: maps.Clone(t.found),
		newest: make(map[conf.Key]int), moved: make(map[conf.Key]bool),
	}
}

// add appends a set that leads to after to the log.
func (w *writer) add(changes []conf.Change, after conf.Position) {
	h := &w.head
	h.Position = after
	h.changes += int64(len(changes))
	for i := range changes {
		w.marked = w.marked || storage.Marks(&changes[i])
		h.bytes += changes[i].Size
	}
	for i := range changes {
		v := version{change: changes[i], epoch: after.Epoch, chain: after.Chain, after: *h}
		if v.change.Op != conf.OpFork {
			w.supersede(&v)
		}
		w.changes = append(w.changes, v)
	}
}

// supersede makes v, which is about to be appended, the newest version of its key, unless an
// installation has added a newer one.
func (w *writer) supersede(v *version) {
	key := v.change.Key
	c := w.current[key]
	switch {
	case c == nil:
		v.ordinal = 1
	case c.installed() && c.revision > v.change.Revision:
		v.ordinal = c.ordinal
		c.ordinal++
		w.moved[key] = true
		return
	case c.installed() && c.revision == v.change.Revision: // the same version, of which v has more information
		v.ordinal = c.ordinal
		w.gone = append(w.gone, rowID{c.revision, c.number})
		delete(w.moved, key)
	default:
		v.ordinal = c.ordinal + 1
	}
	w.current[key] = &current{v.change.Revision, v.number(), v.change.Op, v.ordinal, v.change.Type, v.change.Meta}
	w.newest[key] = len(w.changes)
}

// flush writes all rows and the counter.
func (w *writer) flush(ctx context.Context) error {
	for _, id := range w.gone {
		if err := w.exec(ctx, "DELETE FROM diamond_change WHERE revision = ? AND number = ?", id.revision, id.number); err != nil {
			return err
		}
	}
	for key := range w.moved {
		if err := w.move(ctx, key); err != nil {
			return err
		}
	}
	rows := make([][]any, len(w.changes))
	for i := range w.changes {
		rows[i] = w.changes[i].values()
	}
	if err := w.insert(ctx, changeTable(), rows); err != nil {
		return err
	}
	rows = rows[:0]
	for _, i := range w.newest {
		rows = append(rows, w.changes[i].entryValues())
	}
	if err := w.insert(ctx, entryTable("REPLACE"), rows); err != nil {
		return err
	}
	return w.save(ctx)
}

// move writes the ordinal of a key's newest version, which increases when older versions are
// added.
func (w *writer) move(ctx context.Context, key conf.Key) error {
	c := w.current[key]
	if err := w.exec(ctx, "UPDATE diamond_change SET ordinal = ? WHERE revision = ? AND number = ?", c.ordinal, c.revision, c.number); err != nil {
		return err
	}
	return w.exec(ctx, "UPDATE diamond_entry SET ordinal = ? WHERE "+isKey, append([]any{c.ordinal}, keyArgs(key)...)...)
}
