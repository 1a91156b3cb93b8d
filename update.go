package diamond

import (
	"maps"
	"slices"
)

// Update is a change of a [Mirror]. Its maps are shared and must not be changed.
type Update struct {
	// Revision is that of the change set. An Update of several change sets has that of
	// the newest, and the first one of a callback and a Resync that of the position as of
	// which they are complete.
	Revision int64
	// Changed has the entries that were published, with their new state, also where the
	// content is equal to the one before. [Decode] makes typed values of them.
	Changed map[Key]Config
	// Deleted has the keys that existed before the Update and do not exist after it, in
	// key order.
	Deleted []Key
	// Resync says that the servers no longer keep the history since the state before, that
	// the store has lost some of it, or that the entries were too large meanwhile. The
	// Update is the difference between the two states. Keys that the store lost are in
	// Deleted.
	Resync bool
}

// How much may wait for a callback before it is merged.
const (
	maxWaiting      = 1000     // changes
	maxWaitingBytes = 64 << 20 // contents of changes
)

// delta is an [Update] in a form that can be merged with the next one.
type delta struct {
	revision int64
	changed  map[Key]Config
	deleted  map[Key]bool
	created  map[Key]bool // those of changed that did not exist before
	bytes    int64        // of the contents of changed
	whole    bool         // there was nothing before: all of changed is created
	resync   bool
	owned    bool // no other callback has it, and so it may be changed
}

func newDelta(revision int64) *delta {
	return &delta{revision: revision, changed: map[Key]Config{}, deleted: map[Key]bool{}, created: map[Key]bool{}}
}

// put records that config was published. existed says whether there was a value before.
func (d *delta) put(config Config, existed bool) {
	d.bytes += int64(len(config.Content)) - int64(len(d.changed[config.Key].Content))
	d.changed[config.Key] = config
	if !existed && !d.deleted[config.Key] {
		d.created[config.Key] = true
	}
	delete(d.deleted, config.Key)
}

// remove records that key, which existed, was deleted.
func (d *delta) remove(key Key) {
	if !d.whole && !d.created[key] {
		d.deleted[key] = true
	}
	d.bytes -= int64(len(d.changed[key].Content))
	delete(d.changed, key)
	delete(d.created, key)
}

// size returns the number of keys that d is about.
func (d *delta) size() int { return len(d.changed) + len(d.deleted) }

// update returns what a callback is called with.
func (d *delta) update() Update {
	return Update{
		Revision: d.revision, Changed: d.changed, Resync: d.resync,
		Deleted: slices.SortedFunc(maps.Keys(d.deleted), Key.Compare),
	}
}

// then returns d followed by next, as one.
func (d *delta) then(next *delta) *delta {
	merged := d
	if !d.owned {
		c := *d
		c.changed, c.deleted, c.created = maps.Clone(d.changed), maps.Clone(d.deleted), maps.Clone(d.created)
		c.owned, merged = true, &c
	}
	merged.revision = next.revision
	merged.resync = d.resync || next.resync
	for key := range next.deleted {
		merged.remove(key)
	}
	for key, config := range next.changed {
		merged.put(config, !next.created[key])
	}
	return merged
}

// deltas are those that wait for one callback, in order.
type deltas struct {
	waiting []*delta
	changes int   // of all in waiting
	bytes   int64 // of all in waiting
}

// push adds d. If too much waits, it merges all.
func (q *deltas) push(d *delta) {
	q.waiting = append(q.waiting, d)
	q.changes += d.size()
	q.bytes += d.bytes
	if q.changes <= maxWaiting && q.bytes <= maxWaitingBytes || len(q.waiting) == 1 {
		return
	}
	merged := q.waiting[0]
	for _, next := range q.waiting[1:] {
		merged = merged.then(next)
	}
	clear(q.waiting) // the array must not keep old contents
	q.waiting, q.changes, q.bytes = append(q.waiting[:0], merged), merged.size(), merged.bytes
}

// pop returns the first and removes it, or returns nil if there is none.
func (q *deltas) pop() *delta {
	if len(q.waiting) == 0 {
		return nil
	}
	d := q.waiting[0]
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	q.changes -= d.size()
	q.bytes -= d.bytes
	return d
}
