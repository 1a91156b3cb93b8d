package diamond

import (
	"cmp"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

// keySlot is what a client knows of one key. Its fields, but for those
// above value, are guarded by the client's mu.
type keySlot struct {
	key   Key
	shown atomic.Pointer[shown] // what Get returns; nil: nothing yet
	used  atomic.Bool           // read since letGo looked last

	overriding     sync.Mutex // held while the override file is read and taken in; before the client's mu
	missedOverride bool       // guarded by overriding: it was to be read, which was not possible
	overrideReads  int        // guarded by overriding: how many reads of it were made
	overrideHangs  bool       // guarded by overriding: the last of them has not returned

	value    *known // the newest that a server or the disk said; nil: nothing
	settled  bool   // value may be shown: a server has answered, or has not in time
	disputed bool   // a server has an older value where it should have this one
	override *Entry // the operator's file; nil: none
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
	synced   bool // known up to the client's poll position
	awaited  bool // somebody waits until it is synced

	listeners []*listening
	changed   chan struct{} // closed at the next change; nil: nobody waits
	saved     valueID       // what the two snapshots hold, and what was reported last
	good      valueID
	reported  Report
}

func newSlot(key Key) *keySlot {
	return &keySlot{key: key, pause: backoff.Backoff{Base: 100 * time.Millisecond, Cap: time.Second}, lastUsed: time.Now()}
}

// presence is what a server said of a key's existence.
type presence uint8

const (
	present  presence = iota
	absent            // it does not exist, and never has as far as is known
	deleted           // it was there, and is not any more
	orphaned          // it was there in an earlier epoch: the value is kept
)

// known is a key's state as of a position.
type known struct {
	entry     Entry // present, orphaned: the value
	presence  presence
	at        Position  // of the answer
	source    Source    // SourceServer or SourceSnapshot
	confirmed time.Time // when a server last said so; zero: never
}

// valueID tells what is written to snapshots apart.
type valueID struct {
	revision int64
	md5      string
	deleted  bool
}

// shown is what a client shows of a key. It never changes.
type shown struct {
	config Config
	err    error // why there is no value; nil: there is one
	// followed: each answer to a poll confirms it, so that it is as fresh as the last of them.
	followed bool
}

// equals reports whether s and o are the same to a listener. Neither the
// revision counts nor where the value came from: a value that is published
// again has changed nothing for a program.
func (s *shown) equals(o *shown) bool {
	if s.err != nil || o.err != nil {
		return s.err != nil && o.err != nil
	}
	return (s.config.Refused == nil) == (o.config.Refused == nil) && equalEntries(&s.config.Entry, &o.config.Entry)
}

// equalEntries reports whether content, type and metadata are the same.
func equalEntries(a, b *Entry) bool {
	return a.MD5 == b.MD5 && a.Content == b.Content && a.Type == b.Type && maps.Equal(a.Meta, b.Meta)
}

// fixed returns s as it is now: no later answer confirms it.
func (s *shown) fixed(marked *atomic.Pointer[time.Time]) *shown {
	if s == nil || !s.followed {
		return s
	}
	config, err := s.read(marked)
	return &shown{config: config, err: err}
}

// confirmed returns when a server last said that s is so, where marked is when
// the last poll was answered.
func (s *shown) confirmed(marked *atomic.Pointer[time.Time]) time.Time {
	if s.followed {
		if t := marked.Load(); t != nil && t.After(s.config.Confirmed) {
			return *t
		}
	}
	return s.config.Confirmed
}

// read returns what s says, as of now.
func (s *shown) read(marked *atomic.Pointer[time.Time]) (Config, error) {
	config := s.config
	config.Confirmed = s.confirmed(marked)
	return config, s.err
}

// news is what one answer of a server says of a key.
type news struct {
	found bool
	entry Entry // with its content, when found
	at    Position
	asOf  time.Time // when it was so
}

// learn takes in an answer of a server. False: what is known is newer, or the
// answer contradicts it or itself, so it is refused. A client never goes back: it
// orders by the generation of the epoch, and within one by View.
func (s *keySlot) learn(n news) bool {
	if n.found && n.entry.View > n.at.Revision {
		return false // no state has a value that is newer than the state
	}
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

	next := &known{at: n.at, source: SourceServer, confirmed: n.asOf}
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
func (s *keySlot) agrees(n news) bool {
	if s.value.presence != present {
		return !n.found
	}
	e := &s.value.entry
	return n.found && e.Revision == n.entry.Revision && e.MD5 == n.entry.MD5
}

// held is what servers are told of the slot. An orphan is nothing to them: its
// history is not theirs.
func (s *keySlot) held() Held {
	switch {
	case s.announced != nil:
		return Held{Key: s.key, Revision: s.announced.Revision, MD5: s.announced.MD5}
	case s.value != nil && s.value.presence == present:
		return Held{Key: s.key, Revision: s.value.entry.Revision, MD5: s.value.entry.MD5}
	}
	return Held{Key: s.key}
}

// answered reports whether a server has said what there is of the key.
func (s *keySlot) answered() bool { return s.value != nil && s.value.source == SourceServer }

// show computes what Get returns, and wakes those who wait for a change.
func (s *keySlot) show() {
	s.shown.Store(s.view())
	s.broadcast()
}

func (s *keySlot) view() *shown {
	v := s.value
	if v != nil || s.settled {
		if out := s.overridden(); out != nil {
			return out
		}
	}
	if v == nil || !s.settled {
		return nil
	}
	out := &shown{
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
func (s *keySlot) freeze(marked *atomic.Pointer[time.Time]) {
	if st := s.shown.Load(); st != nil && st.followed && s.value != nil {
		s.value.confirmed = st.confirmed(marked)
	}
}

// next returns a channel that is closed at the next change.
func (s *keySlot) next() <-chan struct{} {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

func (s *keySlot) broadcast() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// viewOf returns e with its View, which is its Revision where it is not said.
func viewOf(e Entry) Entry {
	e.View = cmp.Or(e.View, e.Revision)
	return e
}
