package follower

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/document"
	"github.com/linnaname/gdiamond/internal/worker"
)

// slot is everything that a client knows about one key. The fields from value on
// are guarded by the mu of [slots].
type slot struct {
	key   conf.Key
	shown atomic.Pointer[visible] // what Get returns, or nil if nothing is known yet
	used  atomic.Bool             // read since the last letGo

	overrideReads overrideReads

	value    *knownState // the newest value from a server or the disk, or nil
	settled  bool        // value may be shown, because a server has answered or its time is over
	disputed bool        // a server has an older value where it should have this one
	override *conf.Entry // the content of the operator's file, or nil if there is none
	// announced is a newer state than value, which a poll named and whose content has
	// not been fetched yet. Polls tell servers that the client holds it.
	announced   *conf.KeyState
	announcedIn int64 // the generation of the epoch of announced

	refused error // with which servers refuse the key to the client, or nil if they do not

	loading bool            // a first fetch is under way
	turn    time.Time       // when the first of them got its place, or zero if it still waits
	late    bool            // the fetch has not been answered in time
	loadErr error           // why the last fetch failed
	pause   backoff.Backoff // between first fetches that fail
	retryAt time.Time       // when the next fetch may begin
	loaded  bool            // the snapshot has been read, or there is none
	dropped bool            // let go, or refused without a value: the client follows it no more
	alone   bool            // made by a Peek: the client never follows it

	lastUsed time.Time // as of the last letGo

	joined   bool // the key is one of those polled for
	joinedAt int  // the first version of the set that contains the key
	synced   bool // known up to the slots' position
	awaited  bool // a caller waits until it is synced

	listeners []*subscription
	changed   chan struct{} // closed at the next change, or nil if nobody waits
	saved     valueID       // the value in the fetched snapshot
	good      valueID       // the value in the last good snapshot
	reported  conf.Report   // the last outcome reported to servers
}

// overrideReads keeps track of the reads of the override file of one key.
type overrideReads struct {
	mu     sync.Mutex // held while the file is read and applied; locked before the slots' mu
	made   int        // guarded by mu: the number of reads
	hangs  bool       // guarded by mu: the last read has not returned
	missed bool       // guarded by mu: a read was due but too many files hung
}

func (r *overrideReads) isMissed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.missed
}

func newSlot(key conf.Key) *slot {
	return &slot{key: key, pause: backoff.Backoff{Base: 100 * time.Millisecond, Cap: time.Second}, lastUsed: time.Now()}
}

// learn applies an answer of a server. It returns false for an answer that is older
// than the known state, or contradicts it or itself, and then keeps that state: a
// client never goes back. It orders answers by the generation of the epoch, and
// within one by View.
func (s *slot) learn(n update) bool {
	if n.found && n.entry.View > n.at.Revision {
		return false // a value cannot be newer than the state that contains it
	}
	v := s.value
	sameStore := v != nil && v.at.Store == n.at.Store
	if sameStore && v.at.Epoch.Generation >= n.at.Epoch.Generation {
		if n.at.Compare(v.at) < 0 {
			return false
		}
		if s.agrees(n) {
			v.at, v.source, v.confirmed = n.at, conf.SourceServer, n.asOf
			v.entry.View = max(v.entry.View, n.entry.View)
			s.settled, s.disputed = true, false
			return true
		}
		// The next value of an absent key was published after the absence was seen.
		newest := v.at.Revision
		if v.presence == present {
			newest = v.entry.View
		}
		if n.found && n.entry.View <= newest {
			s.disputed = true
			return false
		}
	}

	next := &knownState{at: n.at, source: conf.SourceServer, confirmed: n.asOf}
	switch {
	case n.found:
		next.entry = n.entry
	case v == nil, v.presence == absent, !sameStore && !s.settled:
		next.presence, next.entry = absent, conf.Entry{Key: s.key}
	case sameStore && v.presence != deleted && n.at.Epoch.Generation > v.at.Epoch.Generation:
		next.presence, next.entry = orphaned, v.entry
	default:
		next.presence, next.entry = deleted, conf.Entry{Key: s.key}
	}
	s.value, s.settled, s.disputed = next, true, false
	return true
}

// agrees reports whether an answer repeats the known state.
func (s *slot) agrees(n update) bool {
	if s.value.presence != present {
		return !n.found
	}
	e := &s.value.entry
	return n.found && e.Revision == n.entry.Revision && e.MD5 == n.entry.MD5
}

// held is the state that polls tell servers. An orphaned value counts as none,
// because it is not part of the present history.
func (s *slot) held() conf.Held {
	switch {
	case s.announced != nil:
		return conf.Held{Key: s.key, Revision: s.announced.Revision, MD5: s.announced.MD5}
	case s.value != nil && s.value.presence == present:
		return conf.Held{Key: s.key, Revision: s.value.entry.Revision, MD5: s.value.entry.MD5}
	}
	return conf.Held{Key: s.key}
}

// answered reports whether the known state came from a server.
func (s *slot) answered() bool { return s.value != nil && s.value.source == conf.SourceServer }

// show updates what Get returns, and wakes callers that wait for a change.
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
		config: conf.Config{
			Entry: v.entry, Source: v.source, Confirmed: v.confirmed,
			Deleted: v.presence == deleted, Orphaned: v.presence == orphaned, Refused: s.refused,
		},
		followed: s.synced && s.announced == nil && !s.disputed && v.source == conf.SourceServer,
	}
	if v.presence == absent || v.presence == deleted {
		out.err = &conf.Error{Op: "get", Key: s.key, Err: conf.ErrNotFound, Remote: v.source == conf.SourceServer}
		if s.refused != nil {
			out.err = s.refused // the client may not know whether there is a value now
		}
	}
	return out
}

// freeze stores the present time of confirmation with the value. It is called
// before a change that later answers do not confirm.
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

// overrideType returns the type of the operator's file. A file has no type of its
// own. It takes the type that was published last, even if the key has been deleted
// since, or else the one that the data id implies. The slots' mu must be held.
func (s *slot) overrideType() string {
	var published, before string
	if s.value != nil {
		published = s.value.entry.Type
	}
	if s.override != nil {
		before = s.override.Type
	}
	return cmp.Or(published, before, conf.TypeOf(s.key.DataID))
}

// overridden returns the operator's value, or nil if there is none or if it says
// nothing in the type of the key. The type comes from servers, so the value is not
// shown before their time for an answer is over. The slots' mu must be held.
func (s *slot) overridden() *visible {
	if s.override == nil {
		return nil
	}
	s.override.Type = s.overrideType()
	if document.Blank(s.override.Type, s.override.Content) {
		return nil
	}
	return &visible{config: conf.Config{Entry: *s.override, Source: conf.SourceOverride}}
}

// subscription is one listener at one slot. Its worker runs while the listener has
// something to be told, and passes the state of the slot at the time of the call,
// so the latest state wins. A listener of several keys has one subscription at each
// slot, all with the same worker. The fields below worker are guarded by the slots'
// mu.
type subscription struct {
	slot     *slot
	listener Listener // nil in a part of a joint subscription
	worker   *worker.Worker

	stopped   bool
	waited    bool     // since it was made, the time for a first answer of servers has ended
	busy      bool     // a call with delivered has not returned
	delivered *visible // the last value it was called with, or an equal newer one; nil before the first call
	err       error    // why it rejected delivered, or nil if it applied it or the last good value instead
	rejected  int64    // the last revision it rejected, or 0 if it has applied a value since
	reason    error    // why it rejected that revision
}

// takeOver replaces the delivered value by st and returns true, if both are equal
// and the listener need not be called: it has applied the one, or has been called
// with the revision of st.
func (l *subscription) takeOver(st *visible) bool {
	if st == nil || l.delivered == nil || l.stopped || l.busy || l.due() != nil {
		return false
	}
	l.delivered = st
	return true
}

// due returns the state that the listener must be called with, or nil if there is
// none. An absence is due only after a value, as its deletion. A value that equals
// a rejected one is due again under a new revision, because the reason for the
// rejection may be gone.
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
