package follower

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/growmap"
)

// keepUnused is the time for which a client follows a key that nobody reads or listens to.
const keepUnused = 10 * time.Minute

// slots holds a slot for each key that a client follows. All changes to slots
// happen under mu, a whole answer at a time; this includes the slots of Peek, which
// are not in byKey. Reading the visible state takes no lock.
type slots struct {
	log *slog.Logger

	// Hooks for the parts that act on changes. They are set before the first change and
	// called with mu held.
	shown   func(s *slot) // after the visible state of s may have changed
	learned func(s *slot) // after an answer about s has been applied
	joined  func()        // after a key has joined the polled keys

	byKey         *growmap.Map[conf.Key, *slot]
	confirmedAsOf atomic.Pointer[time.Time] // when the last answer to a poll confirmed all synced keys

	mu       sync.Mutex
	closed   atomic.Bool        // set under mu: no key is added or joins after that
	version  int                // guarded by mu: of the set of polled keys; grows when a key joins or leaves
	position conf.Position      // guarded by mu: of the last answer to a poll
	unsynced map[*slot]struct{} // guarded by mu: joined keys that are not known up to position
}

func newSlots(log *slog.Logger) *slots {
	return &slots{log: log, byKey: growmap.New[conf.Key, *slot](), unsynced: make(map[*slot]struct{})}
}

// slotOf returns the slot of a canonical key, and makes one if there is none. mu
// must be held.
func (t *slots) slotOf(key conf.Key) (*slot, error) {
	if t.closed.Load() {
		return nil, conf.ErrClosed
	}
	if s, ok := t.byKey.Load(key); ok {
		return s, nil
	}
	if t.byKey.Len() >= conf.MaxPollKeys {
		return nil, conf.Errorf(conf.ErrTooLarge, "a client follows at most %d keys; it lets go of one that was not used for %s, and Peek follows none",
			conf.MaxPollKeys, keepUnused)
	}
	s := newSlot(key)
	t.byKey.Store(key, s)
	return s, nil
}

// followed returns the slots of those keys that the client follows.
func (t *slots) followed(keys []conf.Key) []*slot {
	var out []*slot
	for _, key := range keys {
		if s, ok := t.byKey.Load(key.Canonical()); ok {
			out = append(out, s)
		}
	}
	return out
}

// learn applies an answer of a server about s, see [slot.learn], but does not show
// it yet. newest is the newest position that any server answered with. mu must be
// held.
func (t *slots) learn(s *slot, n update, newest conf.Position) bool {
	if s.synced && s.announced == nil && s.value != nil && s.value.at.Compare(t.position) < 0 {
		s.value.at = t.position // a synced key is known up to there
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

// show makes what was learned about s visible. mu must be held until the whole
// answer is shown. Listeners lock it first, so they see all of the answer.
func (t *slots) show(s *slot) {
	s.show()
	t.shown(s)
}

// settle allows a snapshot to be shown because no server has answered in time. It
// drops a snapshot of another store than that of newest, the newest position that
// any server answered with. mu must be held.
func (t *slots) settle(s *slot, newest conf.Position) {
	if v := s.value; v != nil && !s.settled && !newest.IsZero() && v.at.Store != newest.Store {
		t.log.Warn("snapshot of another store ignored", "key", s.key)
		s.value = nil
	}
	s.settled, s.late = true, true
	for _, l := range s.listeners {
		l.waited = true
	}
}

// join adds s to the polled keys. mu must be held.
func (t *slots) join(s *slot) {
	if s.joined || s.dropped || t.closed.Load() {
		return
	}
	t.version++
	s.joined, s.joinedAt = true, t.version
	t.unsynced[s] = struct{}{}
	t.joined()
}

// leave removes s from the polled keys. A parked poll continues, but what it says
// about s is ignored. mu must be held.
func (t *slots) leave(s *slot) {
	if !s.joined {
		return
	}
	s.freeze(&t.confirmedAsOf)
	s.joined, s.synced, s.awaited = false, false, false
	delete(t.unsynced, s)
	t.version++
}

// unsync makes the next poll say what the client holds of s, because s is not known
// exactly up to the position of the other keys. mu must be held.
func (t *slots) unsync(s *slot) {
	if s.joined {
		s.synced = false
		t.unsynced[s] = struct{}{}
	}
}

// refuse records that servers refuse s to the client. The last known value stays
// visible: a refusal is not a deletion. The key leaves the polled keys. mu must be
// held.
func (t *slots) refuse(s *slot, err error) {
	if s.refused == nil {
		t.log.Warn("servers refuse a key; its last value stays", "key", s.key, "error", err)
	}
	t.leave(s)
	s.announced = nil
	s.refused, s.loadErr = err, err
}

// allow records that a server has answered about s, and ends a refusal. mu must be
// held.
func (t *slots) allow(s *slot) {
	if s.refused == nil {
		return
	}
	t.log.Info("servers no longer refuse a key", "key", s.key)
	s.refused, s.loadErr = nil, nil
	t.join(s)
}

// drop marks s as no longer followed. The caller removes it from byKey. mu must be
// held.
func (t *slots) drop(s *slot) {
	t.leave(s)
	s.announced = nil
	s.dropped = true
}

// firstBehind returns the first of slots that is not known exactly up to the
// position of the last poll, or nil if all are. A refused key counts as known. mu
// must be held.
func firstBehind(slots []*slot) *slot {
	for _, s := range slots {
		s.used.Store(true)
		if s.shown.Load() == nil || s.refused == nil && (!s.synced || s.announced != nil) {
			return s
		}
	}
	return nil
}

// read returns the values of slots, and the position of the last poll. mu must be
// held.
func (t *slots) read(slots []*slot) (map[conf.Key]conf.Config, conf.Position) {
	configs := make(map[conf.Key]conf.Config, len(slots))
	for _, s := range slots {
		if st := s.shown.Load(); st != nil && st.err == nil {
			configs[s.key], _ = st.read(&t.confirmedAsOf)
		}
	}
	return configs, t.position
}

// status returns the state of one key. pollErr is why the last poll failed, or nil.
// Status.Err is the first of these that applies: a listener's rejection, why there
// is no value, why the value is not fresh. mu must be held.
func (t *slots) status(s *slot, pollErr error) conf.Status {
	status := conf.Status{Key: s.key, Listeners: len(s.listeners)}
	st := s.shown.Load()
	if st == nil {
		status.Err = conf.WithOp("status", s.key, s.loadErr)
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
			status.Rejected, status.Err = max(status.Rejected, l.rejected), &conf.Error{Op: "listen", Key: s.key, Err: l.reason}
		}
	}
	switch {
	case status.Err != nil || config.Source == conf.SourceOverride:
	case s.refused != nil:
		status.Err = conf.WithOp("poll", s.key, s.refused)
	case pollErr != nil:
		status.Err = conf.WithOp("poll", s.key, pollErr)
	case config.Source == conf.SourceSnapshot:
		status.Err = conf.WithOp("fetch", s.key, s.loadErr)
	case s.disputed:
		status.Err = &conf.Error{Op: "poll", Key: s.key, Err: conf.ErrEpoch, Remote: true, Detail: "servers have an older value; this one is kept"}
	case s.announced != nil:
		status.Err = &conf.Error{Op: "fetch", Key: s.key, Err: conf.ErrUnavailable, Detail: "a newer value is known of, and its content is not here yet"}
	}
	return status
}
