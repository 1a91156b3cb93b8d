package diamond

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/internal/growmap"
)

// keepUnused is for how long a client follows a key that nobody reads or listens to.
const keepUnused = 10 * time.Minute

// slots is all that a client knows of keys: a slot for each that it follows. Everything
// that changes a slot, also one of a Peek, is done under mu, a whole answer at a time;
// reading what a slot shows takes no lock.
type slots struct {
	log *slog.Logger

	// Hooks for the parts that act on a change. They are set before the first change,
	// and called with mu held.
	shown   func(s *slot) // s may show something else now
	learned func(s *slot) // an answer of a server about s has been taken in
	joined  func()        // a key has joined those that are polled for

	byKey         *growmap.Map[Key, *slot]
	confirmedAsOf atomic.Pointer[time.Time] // as of when the last answer to a poll confirms all synced keys

	mu       sync.Mutex
	closed   atomic.Bool        // set under mu: no key is added or joins any more
	version  int                // guarded by mu: of the set of keys that are polled for; grows when one joins or leaves
	position Position           // guarded by mu: of the last answer to a poll
	unsynced map[*slot]struct{} // guarded by mu: joined, and not known up to position
}

func newSlots(log *slog.Logger) *slots {
	return &slots{log: log, byKey: growmap.New[Key, *slot](), unsynced: make(map[*slot]struct{})}
}

// slotOf returns the slot of a canonical key, and makes it when there is none.
// mu must be held.
func (t *slots) slotOf(key Key) (*slot, error) {
	if t.closed.Load() {
		return nil, ErrClosed
	}
	if s, ok := t.byKey.Load(key); ok {
		return s, nil
	}
	if t.byKey.Len() >= MaxPollKeys {
		return nil, Errorf(ErrTooLarge, "a client follows at most %d keys; it lets go of one that was not used for %s, and Peek follows none",
			MaxPollKeys, keepUnused)
	}
	s := newSlot(key)
	t.byKey.Store(key, s)
	return s, nil
}

// followed returns the slots of those of keys that the client knows.
func (t *slots) followed(keys []Key) []*slot {
	var out []*slot
	for _, key := range keys {
		if s, ok := t.byKey.Load(key.Canonical()); ok {
			out = append(out, s)
		}
	}
	return out
}

// learn takes in an answer of a server about s; see [slot.learn]. newest is the
// newest position that any server answered with. It does not show it yet. mu must
// be held.
func (t *slots) learn(s *slot, n update, newest Position) bool {
	if s.synced && s.announced == nil && s.value != nil && s.value.at.Compare(t.position) < 0 {
		s.value.at = t.position // what is synced is known up to there
	}
	if s.value == nil && !n.found && n.at.Compare(newest) < 0 {
		return false // it may have been published since
	}
	if !s.learn(n) {
		return false
	}
	if a := s.announced; a != nil && (!n.found || n.entry.View >= a.View || n.at.Epoch.Generation > s.announcedIn) {
		s.announced = nil
	}
	t.allow(s)
	t.learned(s)
	return true
}

// show makes what has been learned of s visible. mu must be held, until all of
// an answer is: listeners begin by taking it.
func (t *slots) show(s *slot) {
	s.show()
	t.shown(s)
}

// settle has a snapshot used, since no server has answered in time, unless it
// is of another store than newest is, the newest position that any server answered
// with. mu must be held.
func (t *slots) settle(s *slot, newest Position) {
	if v := s.value; v != nil && !s.settled && !newest.IsZero() && v.at.Store != newest.Store {
		t.log.Warn("snapshot of another store ignored", "key", s.key)
		s.value = nil
	}
	s.settled, s.late = true, true
	for _, l := range s.listeners {
		l.waited = true
	}
}

// join adds s to the keys that are polled for. mu must be held.
func (t *slots) join(s *slot) {
	if s.joined || s.dropped || t.closed.Load() {
		return
	}
	t.version++
	s.joined, s.joinedAt = true, t.version
	t.unsynced[s] = struct{}{}
	t.joined()
}

// leave takes s out of the keys that are polled for. A poll that is parked goes
// on; what it says of s is passed over. mu must be held.
func (t *slots) leave(s *slot) {
	if !s.joined {
		return
	}
	s.freeze(&t.confirmedAsOf)
	s.joined, s.synced, s.awaited = false, false, false
	delete(t.unsynced, s)
	t.version++
}

// unsync has s sent along with the next poll, as it is not known just up to
// the position of the others. mu must be held.
func (t *slots) unsync(s *slot) {
	if s.joined {
		s.synced = false
		t.unsynced[s] = struct{}{}
	}
}

// refuse notes that servers do not let the client have s. What is known of it
// stays, and is the last value that the client may show: a refusal is no
// deletion. The key is not polled for together with the others. mu must be held.
func (t *slots) refuse(s *slot, err error) {
	if s.refused == nil {
		t.log.Warn("servers refuse a key; its last value stays", "key", s.key, "error", err)
	}
	t.leave(s)
	s.announced = nil
	s.refused, s.loadErr = err, err
}

// allow notes that a server has told the client of s. mu must be held.
func (t *slots) allow(s *slot) {
	if s.refused == nil {
		return
	}
	t.log.Info("servers no longer refuse a key", "key", s.key)
	s.refused, s.loadErr = nil, nil
	t.join(s)
}

// drop takes s out of the slots that polls know. Its caller takes it out of byKey.
// mu must be held.
func (t *slots) drop(s *slot) {
	t.leave(s)
	s.announced = nil
	s.dropped = true
}

// firstBehind returns one of slots that is not known just up to the position of
// the last poll; nil: all are. One that servers refuse is as it was known last.
// mu must be held.
func firstBehind(slots []*slot) *slot {
	for _, s := range slots {
		s.used.Store(true)
		if s.shown.Load() == nil || s.refused == nil && (!s.synced || s.announced != nil) {
			return s
		}
	}
	return nil
}

// read returns what there is of slots. mu must be held.
func (t *slots) read(slots []*slot) (map[Key]Config, Position) {
	configs := make(map[Key]Config, len(slots))
	for _, s := range slots {
		if st := s.shown.Load(); st != nil && st.err == nil {
			configs[s.key], _ = st.read(&t.confirmedAsOf)
		}
	}
	return configs, t.position
}

// status returns the state of one key, where pollErr is why the last poll failed. Its
// Err is the first that applies of: a listener's refusal, why there is no value, why
// it is not fresh. mu must be held.
func (t *slots) status(s *slot, pollErr error) Status {
	status := Status{Key: s.key, Listeners: len(s.listeners)}
	st := s.shown.Load()
	if st == nil {
		status.Err = opError("status", s.key, s.loadErr)
		return status
	}
	config, err := st.read(&t.confirmedAsOf)
	status.Source, status.Revision, status.MD5 = config.Source, config.Revision, config.MD5
	status.Deleted, status.Orphaned = config.Deleted, config.Orphaned
	status.Confirmed = config.Confirmed
	if !config.Confirmed.IsZero() {
		status.Age = time.Since(config.Confirmed)
	}
	status.Err = err
	for _, l := range s.listeners {
		if l.reason != nil {
			status.Rejected, status.Err = max(status.Rejected, l.rejected), &Error{Op: "listen", Key: s.key, Err: l.reason}
		}
	}
	switch {
	case status.Err != nil || config.Source == SourceOverride:
	case s.refused != nil:
		status.Err = opError("poll", s.key, s.refused)
	case pollErr != nil:
		status.Err = opError("poll", s.key, pollErr)
	case config.Source == SourceSnapshot:
		status.Err = opError("fetch", s.key, s.loadErr)
	case s.disputed:
		status.Err = &Error{Op: "poll", Key: s.key, Err: ErrEpoch, Remote: true, Detail: "servers have an older value; this one is kept"}
	case s.announced != nil:
		status.Err = &Error{Op: "fetch", Key: s.key, Err: ErrUnavailable, Detail: "a newer value is known of, and its content is not here yet"}
	}
	return status
}
