package diamond

import (
	"context"
	"errors"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/hung"
)

// complainEvery is how often a failing disk is logged.
const complainEvery = time.Minute

// snapshotID names one snapshot.
type snapshotID struct {
	key  Key
	slot Slot
}

// loadSnapshot reads the snapshot of s, once: the newest value that was fetched,
// or else the last good one. It is not shown before a server has had its time to
// answer, but what servers say must be newer. One that hangs is taken in when it
// has been read after all, if nothing else is known by then.
func (c *client) loadSnapshot(s *keySlot) {
	if c.local == nil {
		return
	}
	c.slots.mu.Lock()
	loaded := s.loaded
	c.slots.mu.Unlock()
	if !loaded {
		c.loadSlot(s, SlotFetched)
	}
}

// loadSlot reads the snapshot of s in the slot from, and those to try after it.
func (c *client) loadSlot(s *keySlot, from Slot) {
	take := func(v knownState, err error) {
		if err != nil && from == SlotFetched {
			c.loadSlot(s, SlotLastGood)
		} else {
			c.takeSnapshot(s, v, err)
		}
	}
	v, err := c.readSnapshot(s.key, from, take)
	switch {
	case errors.Is(err, hung.ErrNotMade):
		c.crowdedOut.Put(s, struct{}{})
	case !errors.Is(err, hung.ErrHangs):
		take(v, err)
	}
}

// takeSnapshot takes in what reading a snapshot of s returned.
func (c *client) takeSnapshot(s *keySlot, v knownState, err error) {
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	s.loaded = true
	if err != nil || s.value != nil {
		return
	}
	s.value = &v
	if v.presence == present {
		s.saved = valueID{revision: v.entry.Revision, md5: v.entry.MD5}
	}
	if s.settled {
		s.settled = false
		c.slots.settle(s, c.calls.newestSeen())
		c.slots.show(s)
	}
}

// readSnapshot returns a snapshot that is whole and key's own. Where the file
// hangs it returns [hung.ErrHangs], and late, unless it is nil, is called with
// what is read after all.
func (c *client) readSnapshot(key Key, from Slot, late func(knownState, error)) (knownState, error) {
	after := func(snapshot Snapshot, err error) {
		if late != nil {
			late(c.knownOf(key, snapshot, err))
		}
	}
	snapshot, err := hung.Do(c.files, fileID{key: key, slot: from}, func() (Snapshot, error) {
		return c.local.Load(key, from)
	}, after)
	return c.knownOf(key, snapshot, err)
}

// knownOf returns what a snapshot says of key, if it is whole and key's own; err
// is that of reading it.
func (c *client) knownOf(key Key, snapshot Snapshot, err error) (knownState, error) {
	v := knownState{entry: Entry{Key: key}, presence: deleted, at: snapshot.Position, source: SourceSnapshot}
	if err == nil && !snapshot.Deleted {
		if !genuine(&snapshot.Entry, key) {
			err = ErrCorrupt
		}
		v.entry, v.presence = viewOf(snapshot.Entry), present
	}
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, hung.ErrNotMade) {
		c.log.Warn("snapshot not usable", "key", key, "error", err)
	}
	return v, err
}

// lastGood returns the last good value of key, if there is one of the store
// that the servers have.
func (c *client) lastGood(key Key) (Config, bool) {
	if c.local == nil {
		return Config{}, false
	}
	v, err := c.readSnapshot(key, SlotLastGood, nil)
	if err != nil || v.presence != present {
		return Config{}, false
	}
	if seen := c.calls.newestSeen(); !seen.IsZero() && seen.Store != v.at.Store {
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
