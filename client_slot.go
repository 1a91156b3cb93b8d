package diamond

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/worker"
)

// slot is what a client knows of one key. Its fields, but for those
// above value, are guarded by the mu of the client's [slots].
type slot struct {
	key   Key
	shown atomic.Pointer[visible] // what Get returns; nil: nothing yet
	used  atomic.Bool             // read since letGo looked last

	overrideReads overrideReads

	value    *knownState // the newest that a server or the disk said; nil: nothing
	settled  bool        // value may be shown: a server has answered, or has not in time
	disputed bool        // a server has an older value where it should have this one
	override *Entry      // the operator's file; nil: none
	// announced is a state that a poll named and whose content is not here yet:
	// value is not the newest then. Towards servers it counts as held.
	announced   *KeyState
	announcedIn int64 // the generation of the epoch in which it was

	refused error // why servers do not let the client have the key; nil: they do

	loading bool            // a first fetch is under way
	turn    time.Time       // when the first of them no longer waited for its place; zero: it does
	late    bool            // it has not been answered in time
	loadErr error           // why the last one failed
	pause   backoff.Backoff // between first fetches that fail
	retryAt time.Time       // when the next one may be; zero: now
	loaded  bool            // the snapshot has been read, or there is none
	dropped bool            // let go, or refused without a value: not one of the client's any more
	alone   bool            // one Peek's, and never one of the client's

	lastUsed time.Time // as letGo knows

	joined   bool // the key is one of those polled for
	joinedAt int  // the version of the set that has it first
	synced   bool // known up to the slots' position
	awaited  bool // somebody waits until it is synced

	listeners []*subscription
	changed   chan struct{} // closed at the next change; nil: nobody waits
	saved     valueID       // what the two snapshots hold, and what was reported last
	good      valueID
	reported  Report
}

// overrideReads is what became of the reads of a key's override file.
type overrideReads struct {
	mu     sync.Mutex // held while the file is read and its content is taken in; before the slots' mu
	made   int        // guarded by mu: reads that were made
	hangs  bool       // guarded by mu: the last of them has not returned
	missed bool       // guarded by mu: a read was due, and could not be made
}

func (r *overrideReads) isMissed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.missed
}

func newSlot(key Key) *slot {
	return &slot{key: key, pause: backoff.Backoff{Base: 100 * time.Millisecond, Cap: time.Second}, lastUsed: time.Now()}
}

// learn takes in an answer of a server. False: what is known is newer, or the
// answer contradicts it, so it is refused. A client never goes back: it orders
// by the generation of the epoch, and within one by View.
func (s *slot) learn(n update) bool {
	v := s.value
	sameStore := v != nil && v.at.Store == n.at.Store
	if sameStore && v.at.Epoch.Generation >= n.at.Epoch.Generation {
		if n.at.Compare(v.at) < 0 {
			return false
		}
		if s.agrees(n) {
			v.at, v.source, v.confirmed = n.at, SourceServer, n.asOf
			v.entry.View = max(v.entry.View, n.entry.View)
			s.settled, s.disputed = true, false
			return true
		}
		// An absent key's next value was chosen after the absence was seen.
		newest := v.at.Revision
		if v.presence == present {
			newest = v.entry.View
		}
		if n.found && n.entry.View <= newest {
			s.disputed = true
			return false
		}
	}

	next := &knownState{at: n.at, source: SourceServer, confirmed: n.asOf}
	switch {
	case n.found:
		next.entry = n.entry
	case v == nil, v.presence == absent, !sameStore && !s.settled:
		next.presence, next.entry = absent, Entry{Key: s.key}
	case sameStore && v.presence != deleted && n.at.Epoch.Generation > v.at.Epoch.Generation:
		next.presence, next.entry = orphaned, v.entry
	default:
		next.presence, next.entry = deleted, Entry{Key: s.key}
	}
	s.value, s.settled, s.disputed = next, true, false
	return true
}

// agrees reports whether an answer says what is known already.
func (s *slot) agrees(n update) bool {
	if s.value.presence != present {
		return !n.found
	}
	e := &s.value.entry
	return n.found && e.Revision == n.entry.Revision && e.MD5 == n.entry.MD5
}

// held is what servers are told of the slot. An orphan is nothing to them: its
// history is not theirs.
func (s *slot) held() Held {
	switch {
	case s.announced != nil:
		return Held{Key: s.key, Revision: s.announced.Revision, MD5: s.announced.MD5}
	case s.value != nil && s.value.presence == present:
		return Held{Key: s.key, Revision: s.value.entry.Revision, MD5: s.value.entry.MD5}
	}
	return Held{Key: s.key}
}

// answered reports whether a server has said what there is of the key.
func (s *slot) answered() bool { return s.value != nil && s.value.source == SourceServer }

// show computes what Get returns, and wakes those who wait for a change.
func (s *slot) show() {
	s.shown.Store(s.view())
	s.broadcast()
}

func (s *slot) view() *visible {
	v := s.value
	if v != nil || s.settled {
		if out := s.overridden(); out != nil {
			return out
		}
	}
	if v == nil || !s.settled {
		return nil
	}
	out := &visible{
		config: Config{
			Entry: v.entry, Source: v.source, Confirmed: v.confirmed,
			Deleted: v.presence == deleted, Orphaned: v.presence == orphaned, Refused: s.refused,
		},
		followed: s.synced && s.announced == nil && !s.disputed && v.source == SourceServer,
	}
	if v.presence == absent || v.presence == deleted {
		out.err = &Error{Op: "get", Key: s.key, Err: ErrNotFound, Remote: v.source == SourceServer}
		if s.refused != nil {
			out.err = s.refused // whether there is one by now is not for this client to know
		}
	}
	return out
}

// freeze keeps the time as of which the value is confirmed, before something
// is learned that the next answers will not confirm.
func (s *slot) freeze(confirmedAsOf *atomic.Pointer[time.Time]) {
	if st := s.shown.Load(); st != nil && st.followed && s.value != nil {
		s.value.confirmed = st.confirmed(confirmedAsOf)
	}
}

// next returns a channel that is closed at the next change.
func (s *slot) next() <-chan struct{} {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

func (s *slot) broadcast() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// overrideType returns the type of the operator's file. A file has none: it has
// the one that was published last, also when the key has been deleted since, or
// else what the data id says. The slots' mu must be held.
func (s *slot) overrideType() string {
	var published, before string
	if s.value != nil {
		published = s.value.entry.Type
	}
	if s.override != nil {
		before = s.override.Type
	}
	return cmp.Or(published, before, TypeOf(s.key.DataID))
}

// overridden returns the operator's value; nil: there is none, or it says nothing
// in the type that the key turned out to have. So it is not shown before servers
// have had their time. The slots' mu must be held.
func (s *slot) overridden() *visible {
	if s.override == nil {
		return nil
	}
	s.override.Type = s.overrideType()
	if saysNothing(s.override.Type, s.override.Content) {
		return nil
	}
	return &visible{config: Config{Entry: *s.override, Source: SourceOverride}}
}

// subscription is one listener at one slot. Its worker runs while there is
// something to tell it: what it is told is the slot's state by then, so the
// latest wins. A listener of several keys has one at each slot, all with one
// worker. The fields below worker are guarded by the slots' mu.
type subscription struct {
	slot     *slot
	listener Listener // of one key; nil: of several
	worker   *worker.Worker

	stopped   bool
	waited    bool     // since it came, servers have had their time for a first answer
	busy      bool     // told of a value, and not done with it
	delivered *visible // the last that it was called with, or an equal value that came after; nil: never called
	err       error    // what became of that; nil: applied it, or the last good one instead
	rejected  int64    // the revision that it refused last; 0: none that has not been followed by a good one
	reason    error    // why
}

// takeOver puts st in the place of what the listener was told, where the two
// are equal and it need not be called: it has applied the one, or has been
// called with this very revision.
func (l *subscription) takeOver(st *visible) bool {
	if st == nil || l.delivered == nil || l.stopped || l.busy || l.due() != nil {
		return false
	}
	l.delivered = st
	return true
}

// due returns what there is to tell; nil: nothing. An absence is told only to
// those who have been told of a value: as its deletion. An equal value of a
// rejected one is told again: what it was rejected for may be mended.
func (l *subscription) due() *visible {
	st := l.slot.shown.Load()
	switch {
	case l.stopped || st == nil:
		return nil
	case l.delivered == nil:
		if st.err != nil {
			return nil
		}
	case l.delivered.equals(st) && (l.reason == nil || l.delivered.config.Revision == st.config.Revision):
		return nil
	}
	return st
}
