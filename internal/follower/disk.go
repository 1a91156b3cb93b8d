package follower

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/coalesce"
	"github.com/linnaname/gdiamond/internal/document"
	"github.com/linnaname/gdiamond/internal/hung"
)

const (
	filePatience = 2 * time.Second // for one call of the local files
	flushTimeout = 3 * time.Second // for snapshots, when closing
	writePause   = time.Minute     // longest pause between attempts to write snapshots
	// maxFileReads is the most calls that read local files at a time, including those
	// that hang.
	maxFileReads = 64
)

// disk reads and writes the local files of a client. Without local files it does
// nothing.
type disk struct {
	local  Files // nil if there are none
	log    *slog.Logger
	slots  *slots
	health *health
	// newest returns the newest position that any server answered with.
	newest     func() conf.Position
	background *sync.WaitGroup // of the client, which waits for it in Close

	files      *hung.Calls[fileID]                        // makes the calls that read
	crowdedOut *coalesce.Queue[*slot, struct{}]           // slots with files that were not read because too many others hang
	writes     *coalesce.Queue[snapshotID, conf.Snapshot] // snapshots to write
}

func newDisk(local Files, health *health, slots *slots, newest func() conf.Position, background *sync.WaitGroup) *disk {
	return &disk{
		local: local, log: health.log, health: health, slots: slots, newest: newest, background: background,
		files:      hung.New[fileID](filePatience, maxFileReads),
		crowdedOut: coalesce.New[*slot, struct{}](),
		writes:     coalesce.New[snapshotID, conf.Snapshot](),
	}
}

// fileID identifies the file that a call reads. The zero fileID is that of the client id.
type fileID struct {
	key      conf.Key
	slot     conf.Slot // of a snapshot
	override bool
}

// snapshotID identifies one snapshot.
type snapshotID struct {
	key  conf.Key
	slot conf.Slot
}

// clientID returns the id from the local files, or a random one if they have none:
// a client works without a directory that it can write to.
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

// runOverrides follows the operator's files. Each is read in a goroutine, so a file
// that hangs delays no other.
func (d *disk) runOverrides(ctx context.Context) {
	var pause backoff.Backoff
	for {
		err := d.local.WatchOverrides(ctx, func(key conf.Key) {
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

// read applies the override and the snapshot of s. It returns when both have been
// read or hang.
func (d *disk) read(s *slot) {
	var both sync.WaitGroup
	both.Go(func() { d.lookForOverride(s) })
	both.Go(func() { d.loadSnapshot(s) })
	both.Wait()
}

// lookForOverride reads and applies the operator's file for s, or its absence. The
// content of a file that hangs is applied when the read returns.
func (d *disk) lookForOverride(s *slot) {
	if d.local == nil {
		return
	}
	reads := &s.overrideReads
	reads.mu.Lock() // so that the last read is applied last
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
	if !reads.hangs { // otherwise takeLateOverride reads it again
		d.crowdedOut.Put(s, struct{}{})
	}
	if !reads.missed { // otherwise that has been logged
		reads.missed = true
		d.takeOverride(s, content, err)
	}
}

// runCrowdedOut reads the overrides and snapshots that could not be read because
// too many other files hung. Nothing tells when one of those returns, so it tries
// again every filePatience.
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

// takeLateOverride applies the result of a read that hung, unless a later read was
// made since. The file may have changed meanwhile, so it is read again if that was
// due.
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

// takeOverride applies the result of reading the override of s. A file that cannot
// be read changes nothing. Neither does an empty one, because an editor that saves
// may empty the file for a moment.
func (d *disk) takeOverride(s *slot, content string, err error) {
	d.slots.mu.Lock()
	defer d.slots.mu.Unlock()
	typ := s.overrideType()
	if err == nil && document.Blank(typ, content) {
		err = conf.Errorf(conf.ErrInvalid, "it is empty or says nothing in its format; remove the file to end the override")
	}
	if err != nil && !errors.Is(err, conf.ErrNotFound) {
		d.log.Warn("override file not usable", "key", s.key, "error", err)
		return
	}
	before := s.override
	if err != nil {
		s.override = nil
	} else {
		s.override = &conf.Entry{Key: s.key, Content: content, Type: typ, MD5: conf.MD5Hex(content), Size: int64(len(content))}
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

// loadSnapshot reads the snapshot of s once: the newest fetched value, or else the
// last good one. It is not shown before the time for an answer of servers is over,
// but answers must be newer than it. The snapshot of a file that hangs is applied
// when the read returns, if nothing else is known by then.
func (d *disk) loadSnapshot(s *slot) {
	if d.local == nil {
		return
	}
	d.slots.mu.Lock()
	loaded := s.loaded
	d.slots.mu.Unlock()
	if !loaded {
		d.loadSlot(s, conf.SlotFetched)
	}
}

// loadSlot reads the snapshot in the slot from, and the next slot if that fails.
func (d *disk) loadSlot(s *slot, from conf.Slot) {
	take := func(v knownState, err error) {
		if err != nil && from == conf.SlotFetched {
			d.loadSlot(s, conf.SlotLastGood)
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

// takeSnapshot applies the result of reading a snapshot of s.
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

// readSnapshot returns a snapshot that is complete and belongs to key. If the file
// hangs it returns [hung.ErrHangs], and calls late, unless that is nil, with the
// result once the read returns.
func (d *disk) readSnapshot(key conf.Key, from conf.Slot, late func(knownState, error)) (knownState, error) {
	after := func(snapshot conf.Snapshot, err error) {
		if late != nil {
			late(d.knownOf(key, snapshot, err))
		}
	}
	snapshot, err := hung.Do(d.files, fileID{key: key, slot: from}, func() (conf.Snapshot, error) {
		return d.local.Load(key, from)
	}, after)
	return d.knownOf(key, snapshot, err)
}

// knownOf returns the state that a snapshot says key has. It fails with err, the
// error of reading it, or if the snapshot is damaged.
func (d *disk) knownOf(key conf.Key, snapshot conf.Snapshot, err error) (knownState, error) {
	v := knownState{entry: conf.Entry{Key: key}, presence: deleted, at: snapshot.Position, source: conf.SourceSnapshot}
	if err == nil && !snapshot.Deleted {
		if !genuine(&snapshot.Entry, key) {
			err = conf.ErrCorrupt
		}
		v.entry, v.presence = viewOf(snapshot.Entry), present
	}
	if err != nil && !errors.Is(err, conf.ErrNotFound) && !errors.Is(err, hung.ErrNotMade) {
		d.log.Warn("snapshot not usable", "key", key, "error", err)
	}
	return v, err
}

// lastGood returns the last good value of key, if there is one that belongs to the
// servers' store.
func (d *disk) lastGood(key conf.Key) (conf.Config, bool) {
	if d.local == nil {
		return conf.Config{}, false
	}
	v, err := d.readSnapshot(key, conf.SlotLastGood, nil)
	if err != nil || v.presence != present {
		return conf.Config{}, false
	}
	if seen := d.newest(); !seen.IsZero() && seen.Store != v.at.Store {
		return conf.Config{}, false
	}
	return conf.Config{Entry: v.entry, Source: conf.SourceSnapshot}, true
}

// saveFetched queues the newest value of s to be written if a server sent it. A
// deletion is written too, so that a restart does not undo it. An orphaned value is
// not written. The slots' mu must be held.
func (d *disk) saveFetched(s *slot) {
	v := s.value
	id := valueID{revision: v.entry.Revision, md5: v.entry.MD5, deleted: v.presence == deleted}
	if d.local == nil || v.source != conf.SourceServer || v.presence == absent || v.presence == orphaned || s.saved == id {
		return
	}
	s.saved = id
	d.writes.Put(snapshotID{s.key, conf.SlotFetched}, conf.Snapshot{Entry: v.entry, Position: v.at, Deleted: v.presence == deleted})
}

// saveGood queues the present value of s to be written as the last good one,
// because all its listeners have applied it. The slots' mu must be held.
func (d *disk) saveGood(s *slot) {
	v := s.value
	id := valueID{revision: v.entry.Revision, md5: v.entry.MD5}
	if d.local == nil || s.good == id {
		return
	}
	s.good = id
	d.writes.Put(snapshotID{s.key, conf.SlotLastGood}, conf.Snapshot{Entry: v.entry, Position: v.at})
}

// writer is the state of the goroutine that writes snapshots.
type writer struct {
	disk    *disk
	flushBy time.Time // when to stop writing, or zero before the client is closed
}

// runWrites writes snapshots one at a time, so that nothing else waits for the
// disk. A write that fails is repeated unless a newer value has replaced it. When
// ctx ends it writes what is left, for at most flushTimeout.
func (d *disk) runWrites(ctx context.Context) {
	w := writer{disk: d}
	tries := attempts{health: d.health, problem: d.health.diskFails}
	pause := backoff.Backoff{Cap: writePause}
	for d.writes.Wait(ctx) == nil {
		failed, err := w.write(ctx, d.writes.Take())
		if ctx.Err() == nil {
			_ = tries.note(err)
		}
		if len(failed) > 0 {
			d.writes.PutBack(failed)
			_ = pause.Wait(ctx, 0)
		} else {
			pause.Reset()
		}
	}
	if failed, err := w.write(ctx, d.writes.Take()); len(failed) > 0 {
		d.log.Warn("closed before all snapshots were written", "count", len(failed), "error", err)
	}
}

// write writes snapshots. It returns those that failed, with the last error.
func (w *writer) write(ctx context.Context, snapshots map[snapshotID]conf.Snapshot) (failed map[snapshotID]conf.Snapshot, err error) {
	failed = make(map[snapshotID]conf.Snapshot)
	for id, snapshot := range snapshots {
		if ctx.Err() != nil && w.flushBy.IsZero() {
			w.flushBy = time.Now().Add(flushTimeout)
		}
		if !w.flushBy.IsZero() && time.Now().After(w.flushBy) {
			failed[id], err = snapshot, errTimeout
			continue
		}
		snapshot.Saved = time.Now()
		if fails := w.disk.local.Save(id.slot, snapshot); fails != nil {
			failed[id], err = snapshot, fails
		}
	}
	return failed, err
}

// Files gives a client access to its files. The contract is that of diamond.LocalFiles.
type Files interface {
	ClientID() (string, error)
	Load(key conf.Key, slot conf.Slot) (conf.Snapshot, error)
	Save(slot conf.Slot, snapshot conf.Snapshot) error
	Override(key conf.Key) (content string, err error)
	WatchOverrides(ctx context.Context, changed func(conf.Key)) error
}
