package diamond

import (
	"context"
	"errors"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

// complainEvery is how often a failing disk is logged.
const complainEvery = time.Minute

// snapshotID names one snapshot.
type snapshotID struct {
	key  Key
	slot Slot
}

// loadSnapshot reads the snapshot of s, once. It is not shown before a server
// has had its time to answer, but what servers say must be newer.
func (c *client) loadSnapshot(s *keySlot) {
	if c.local == nil {
		return
	}
	c.mu.Lock()
	loaded := s.loaded
	s.loaded = true
	c.mu.Unlock()
	if loaded {
		return
	}
	v, ok := c.readSnapshot(s.key, SlotFetched)
	if !ok {
		if v, ok = c.readSnapshot(s.key, SlotLastGood); !ok {
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.value == nil {
		s.value = &v
		if v.presence == present {
			s.saved = valueID{revision: v.entry.Revision, md5: v.entry.MD5}
		}
	}
}

// readSnapshot returns a snapshot that is whole and key's own.
func (c *client) readSnapshot(key Key, from Slot) (known, bool) {
	snapshot, err := c.local.Load(key, from)
	if err != nil {
		if !errors.Is(err, ErrNotFound) {
			c.log.Warn("snapshot not usable", "key", key, "error", err)
		}
		return known{}, false
	}
	v := known{entry: Entry{Key: key}, presence: deleted, at: snapshot.Position, source: SourceSnapshot}
	if !snapshot.Deleted {
		if !genuine(&snapshot.Entry, key) {
			c.log.Warn("snapshot not usable", "key", key, "error", ErrCorrupt)
			return known{}, false
		}
		v.entry, v.presence = viewOf(snapshot.Entry), present
	}
	return v, true
}

// lastGood returns the last good value of key, if there is one of the store
// that the servers have.
func (c *client) lastGood(key Key) (Config, bool) {
	if c.local == nil {
		return Config{}, false
	}
	v, ok := c.readSnapshot(key, SlotLastGood)
	if !ok || v.presence != present {
		return Config{}, false
	}
	if seen := c.newest(); !seen.IsZero() && seen.Store != v.at.Store {
		return Config{}, false
	}
	return Config{Entry: v.entry, Source: SourceSnapshot}, true
}

// saveFetched has the newest value of s written, if a server sent it. A
// deletion is written as such, so that a restart does not undo it. What was
// orphaned stays as it was. mu must be held.
func (c *client) saveFetched(s *keySlot) {
	v := s.value
	id := valueID{revision: v.entry.Revision, md5: v.entry.MD5, deleted: v.presence == deleted}
	if c.local == nil || v.source != SourceServer || v.presence == absent || v.presence == orphaned || s.saved == id {
		return
	}
	s.saved = id
	c.writes.Put(snapshotID{s.key, SlotFetched}, Snapshot{Entry: v.entry, Position: v.at, Deleted: v.presence == deleted})
}

// saveGood has the present value of s written as one that all its listeners
// applied. Without listeners nobody has judged it, and none is good. mu must be held.
func (c *client) saveGood(s *keySlot) {
	v := s.value
	id := valueID{revision: v.entry.Revision, md5: v.entry.MD5}
	if c.local == nil || s.good == id {
		return
	}
	s.good = id
	c.writes.Put(snapshotID{s.key, SlotLastGood}, Snapshot{Entry: v.entry, Position: v.at})
}

// writer is the state of the goroutine that writes snapshots.
type writer struct {
	*client
	complained time.Time // when a failure was logged last
	flushBy    time.Time // when to give up writing, as the client is closing; zero: it is not
}

// runWrites writes snapshots one at a time, away from all that waits for
// values. What cannot be written is tried again, unless there is something
// newer by then. When ctx ends it writes what is left, for a while.
func (c *client) runWrites(ctx context.Context) {
	w := writer{client: c}
	pause := backoff.Backoff{Cap: complainEvery}
	for c.writes.Wait(ctx) == nil {
		if failed := w.write(ctx, c.writes.Take()); len(failed) > 0 {
			c.writes.PutBack(failed)
			_ = pause.Wait(ctx, 0)
		} else {
			pause.Reset()
		}
	}
	if failed := w.write(ctx, c.writes.Take()); len(failed) > 0 {
		c.log.Warn("closed before all snapshots were written", "count", len(failed))
	}
}

// write writes snapshots, and returns those that could not be.
func (w *writer) write(ctx context.Context, snapshots map[snapshotID]Snapshot) (failed map[snapshotID]Snapshot) {
	failed = make(map[snapshotID]Snapshot)
	for id, snapshot := range snapshots {
		if ctx.Err() != nil && w.flushBy.IsZero() {
			w.flushBy = time.Now().Add(flushTimeout)
		}
		if !w.flushBy.IsZero() && time.Now().After(w.flushBy) {
			failed[id] = snapshot
			continue
		}
		snapshot.Saved = time.Now()
		if err := w.local.Save(id.slot, snapshot); err != nil {
			failed[id] = snapshot
			w.complain(err)
		}
	}
	return failed
}

func (w *writer) complain(err error) {
	if time.Since(w.complained) >= complainEvery {
		w.complained = time.Now()
		w.log.Warn("snapshots cannot be written; trying on", "error", err)
	}
}
