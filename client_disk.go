package diamond

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/coalesce"
	"github.com/linnaname/gdiamond/internal/hung"
)

const (
	filePatience  = 2 * time.Second // for one call of the local files
	flushTimeout  = 3 * time.Second // for snapshots, when closing
	complainEvery = time.Minute     // how often a failing disk is logged
	// maxFileReads is how many calls that read local files may be under way, those
	// that hang included.
	maxFileReads = 64
)

// disk reads and writes the local files of a client. Without any it does nothing.
type disk struct {
	local LocalFiles // nil: none
	log   *slog.Logger
	slots *slots
	// newest returns the newest position that any server answered with.
	newest     func() Position
	background *sync.WaitGroup // of the client: what it waits for when it is closed

	files      *hung.Calls[fileID]                   // makes the calls that read
	crowdedOut *coalesce.Queue[*slot, struct{}]      // files that were not read as too many others hang
	writes     *coalesce.Queue[snapshotID, Snapshot] // snapshots to write
}

func newDisk(local LocalFiles, log *slog.Logger, slots *slots, newest func() Position, background *sync.WaitGroup) *disk {
	return &disk{
		local: local, log: log, slots: slots, newest: newest, background: background,
		files:      hung.New[fileID](filePatience, maxFileReads),
		crowdedOut: coalesce.New[*slot, struct{}](),
		writes:     coalesce.New[snapshotID, Snapshot](),
	}
}

// fileID names what a call of the local files reads; the zero one: the client's id.
type fileID struct {
	key      Key
	slot     Slot // where it is a snapshot
	override bool
}

// snapshotID names one snapshot.
type snapshotID struct {
	key  Key
	slot Slot
}

// clientID returns the id of the local files, or a random one: a directory
// that cannot be written does not keep a client from working.
func (d *disk) clientID() string {
	if d.local != nil {
		id, err := hung.Do(d.files, fileID{}, d.local.ClientID, nil)
		if err == nil {
			return id
		}
		d.log.Warn("no stable client id", "error", err)
	}
	return rand.Text()
}

// runOverrides follows the operator's files. Each is read on its own: one that
// hangs does not hold up what there is to say of the others.
func (d *disk) runOverrides(ctx context.Context) {
	var pause backoff.Backoff
	for {
		err := d.local.WatchOverrides(ctx, func(key Key) {
			if s, ok := d.slots.byKey.Load(key.Canonical()); ok {
				d.background.Go(func() { d.lookForOverride(s) })
			}
		})
		if ctx.Err() != nil {
			return
		}
		d.log.Warn("override files are not being watched; trying on", "error", err)
		if pause.Wait(ctx, 0) != nil {
			return
		}
	}
}

// read takes in what the files for s say. It returns when they have been read or hang.
func (d *disk) read(s *slot) {
	var both sync.WaitGroup
	both.Go(func() { d.lookForOverride(s) })
	both.Go(func() { d.loadSnapshot(s) })
	both.Wait()
}

// lookForOverride takes in what the operator's file for s says, or that there
// is none. One that hangs is taken in when it has been read after all.
func (d *disk) lookForOverride(s *slot) {
	if d.local == nil {
		return
	}
	reads := &s.overrideReads
	reads.mu.Lock() // so that what was read last is taken in last
	defer reads.mu.Unlock()
	read := reads.made + 1
	content, err := hung.Do(d.files, fileID{key: s.key, override: true}, func() (string, error) {
		return d.local.Override(s.key)
	}, func(content string, err error) { d.takeLateOverride(s, read, content, err) })
	if !errors.Is(err, hung.ErrNotMade) {
		reads.made, reads.hangs, reads.missed = read, errors.Is(err, hung.ErrHangs), false
		d.takeOverride(s, content, err)
		return
	}
	if !reads.hangs { // else takeLateOverride looks again
		d.crowdedOut.Put(s, struct{}{})
	}
	if !reads.missed { // else it was said
		reads.missed = true
		d.takeOverride(s, content, err)
	}
}

// runCrowdedOut looks again for overrides and snapshots that were not read because as
// many files hung as may be read at a time. Nobody says when there is room, so it
// looks every now and then.
func (d *disk) runCrowdedOut(ctx context.Context) {
	for d.crowdedOut.Wait(ctx) == nil {
		if backoff.Sleep(ctx, filePatience) != nil {
			return
		}
		for s := range d.crowdedOut.Take() {
			d.background.Go(func() {
				d.loadSnapshot(s)
				if s.overrideReads.isMissed() {
					d.lookForOverride(s)
				}
			})
		}
	}
}

// takeLateOverride takes in what the given read of a file, which hung, returned,
// unless a later one was made meanwhile. The file may have changed since.
func (d *disk) takeLateOverride(s *slot, read int, content string, err error) {
	reads := &s.overrideReads
	reads.mu.Lock()
	if read == reads.made {
		reads.hangs = false
		d.takeOverride(s, content, err)
	}
	missed := reads.missed
	reads.missed = false
	reads.mu.Unlock()
	if missed {
		d.lookForOverride(s)
	}
}

// takeOverride takes in what a read of the override of s returned. A file that
// cannot be read changes nothing, nor does one that says nothing: an editor that
// saves may empty it for a moment.
func (d *disk) takeOverride(s *slot, content string, err error) {
	d.slots.mu.Lock()
	defer d.slots.mu.Unlock()
	typ := s.overrideType()
	if err == nil && saysNothing(typ, content) {
		err = Errorf(ErrInvalid, "it is empty or says nothing in its format; remove the file to end the override")
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		d.log.Warn("override file not usable", "key", s.key, "error", err)
		return
	}
	before := s.override
	if err != nil {
		s.override = nil
	} else {
		s.override = &Entry{Key: s.key, Content: content, Type: typ, MD5: MD5Hex(content), Size: int64(len(content))}
	}
	switch {
	case before == nil && s.override == nil:
		return
	case before == nil:
		d.log.Warn("an override file is in force", "key", s.key, "md5", s.override.MD5)
	case s.override == nil:
		d.log.Warn("an override file is no longer in force", "key", s.key)
	}
	d.slots.show(s)
}

// loadSnapshot reads the snapshot of s, once: the newest value that was fetched,
// or else the last good one. It is not shown before a server has had its time to
// answer, but what servers say must be newer. One that hangs is taken in when it
// has been read after all, if nothing else is known by then.
func (d *disk) loadSnapshot(s *slot) {
	if d.local == nil {
		return
	}
	d.slots.mu.Lock()
	loaded := s.loaded
	d.slots.mu.Unlock()
	if !loaded {
		d.loadSlot(s, SlotFetched)
	}
}

// loadSlot reads the snapshot of s in the slot from, and those to try after it.
func (d *disk) loadSlot(s *slot, from Slot) {
	take := func(v knownState, err error) {
		if err != nil && from == SlotFetched {
			d.loadSlot(s, SlotLastGood)
		} else {
			d.takeSnapshot(s, v, err)
		}
	}
	v, err := d.readSnapshot(s.key, from, take)
	switch {
	case errors.Is(err, hung.ErrNotMade):
		d.crowdedOut.Put(s, struct{}{})
	case !errors.Is(err, hung.ErrHangs):
		take(v, err)
	}
}

// takeSnapshot takes in what reading a snapshot of s returned.
func (d *disk) takeSnapshot(s *slot, v knownState, err error) {
	d.slots.mu.Lock()
	defer d.slots.mu.Unlock()
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
		d.slots.settle(s, d.newest())
		d.slots.show(s)
	}
}

// readSnapshot returns a snapshot that is whole and key's own. Where the file
// hangs it returns [hung.ErrHangs], and late, unless it is nil, is called with
// what is read after all.
func (d *disk) readSnapshot(key Key, from Slot, late func(knownState, error)) (knownState, error) {
	after := func(snapshot Snapshot, err error) {
		if late != nil {
			late(d.knownOf(key, snapshot, err))
		}
	}
	snapshot, err := hung.Do(d.files, fileID{key: key, slot: from}, func() (Snapshot, error) {
		return d.local.Load(key, from)
	}, after)
	return d.knownOf(key, snapshot, err)
}

// knownOf returns what a snapshot says of key, if it is whole and key's own; err
// is that of reading it.
func (d *disk) knownOf(key Key, snapshot Snapshot, err error) (knownState, error) {
	v := knownState{entry: Entry{Key: key}, presence: deleted, at: snapshot.Position, source: SourceSnapshot}
	if err == nil && !snapshot.Deleted {
		if !genuine(&snapshot.Entry, key) {
			err = ErrCorrupt
		}
		v.entry, v.presence = viewOf(snapshot.Entry), present
	}
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, hung.ErrNotMade) {
		d.log.Warn("snapshot not usable", "key", key, "error", err)
	}
	return v, err
}

// lastGood returns the last good value of key, if there is one of the store
// that the servers have.
func (d *disk) lastGood(key Key) (Config, bool) {
	if d.local == nil {
		return Config{}, false
	}
	v, err := d.readSnapshot(key, SlotLastGood, nil)
	if err != nil || v.presence != present {
		return Config{}, false
	}
	if seen := d.newest(); !seen.IsZero() && seen.Store != v.at.Store {
		return Config{}, false
	}
	return Config{Entry: v.entry, Source: SourceSnapshot}, true
}

// saveFetched has the newest value of s written, if a server sent it. A
// deletion is written as such, so that a restart does not undo it. What was
// orphaned stays as it was. mu must be held.
func (d *disk) saveFetched(s *slot) {
	v := s.value
	id := valueID{revision: v.entry.Revision, md5: v.entry.MD5, deleted: v.presence == deleted}
	if d.local == nil || v.source != SourceServer || v.presence == absent || v.presence == orphaned || s.saved == id {
		return
	}
	s.saved = id
	d.writes.Put(snapshotID{s.key, SlotFetched}, Snapshot{Entry: v.entry, Position: v.at, Deleted: v.presence == deleted})
}

// saveGood has the present value of s written as one that all its listeners
// applied. Without listeners nobody has judged it, and none is good. mu must be held.
func (d *disk) saveGood(s *slot) {
	v := s.value
	id := valueID{revision: v.entry.Revision, md5: v.entry.MD5}
	if d.local == nil || s.good == id {
		return
	}
	s.good = id
	d.writes.Put(snapshotID{s.key, SlotLastGood}, Snapshot{Entry: v.entry, Position: v.at})
}

// writer is the state of the goroutine that writes snapshots.
type writer struct {
	disk       *disk
	complained time.Time // when a failure was logged last
	flushBy    time.Time // when to give up writing, as the client is closing; zero: it is not
}

// runWrites writes snapshots one at a time, away from all that waits for
// values. What cannot be written is tried again, unless there is something
// newer by then. When ctx ends it writes what is left, for a while.
func (d *disk) runWrites(ctx context.Context) {
	w := writer{disk: d}
	pause := backoff.Backoff{Cap: complainEvery}
	for d.writes.Wait(ctx) == nil {
		if failed := w.write(ctx, d.writes.Take()); len(failed) > 0 {
			d.writes.PutBack(failed)
			_ = pause.Wait(ctx, 0)
		} else {
			pause.Reset()
		}
	}
	if failed := w.write(ctx, d.writes.Take()); len(failed) > 0 {
		d.log.Warn("closed before all snapshots were written", "count", len(failed))
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
		if err := w.disk.local.Save(id.slot, snapshot); err != nil {
			failed[id] = snapshot
			w.complain(err)
		}
	}
	return failed
}

func (w *writer) complain(err error) {
	if time.Since(w.complained) >= complainEvery {
		w.complained = time.Now()
		w.disk.log.Warn("snapshots cannot be written; trying on", "error", err)
	}
}
