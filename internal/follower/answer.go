package follower

import (
	"context"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// namedPatience is the longest time for which contents that an answer only names delay the
// rest of it. Those that take longer are applied later, each by itself.
const namedPatience = 3 * time.Second

// pollAnswer is an answer to a poll, sorted by slot.
type pollAnswer struct {
	resp    *conf.PollResponse
	version int       // of the set of keys in the request
	asOf    time.Time // when the server was in this state
	updates map[*slot]update
	named   map[*slot]*conf.KeyState // changed keys whose content is missing
	denied  map[*slot]error
}

func newPollAnswer(resp *conf.PollResponse, version int) *pollAnswer {
	return &pollAnswer{
		resp: resp, version: version, asOf: time.Now().Add(-resp.Stale),
		updates: make(map[*slot]update), named: make(map[*slot]*conf.KeyState), denied: make(map[*slot]error),
	}
}

// slot returns the slot of key, or nil if the request did not ask for it.
func (a *pollAnswer) slot(t *slots, key conf.Key) *slot {
	if s, ok := t.byKey.Load(key.Canonical()); ok && s.joined && s.joinedAt <= a.version {
		return s
	}
	return nil
}

// sort separates the states that the answer contains from those that it only names.
func (a *pollAnswer) sort(t *slots) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a.resp.Position.Compare(t.position) < 0 {
		return &conf.Error{Op: "poll", Err: conf.ErrBehind, Remote: true}
	}
	for i := range a.resp.Denied {
		d := &a.resp.Denied[i]
		if s := a.slot(t, d.Key); s != nil {
			a.denied[s] = &conf.Error{Op: "poll", Key: s.key, Err: conf.ErrDenied, Detail: d.Detail, Remote: true}
		}
	}
	for i := range a.resp.Changed {
		ks := &a.resp.Changed[i]
		s := a.slot(t, ks.Key)
		if s == nil || a.denied[s] != nil {
			continue
		}
		n := update{at: a.resp.Position, asOf: a.asOf}
		switch {
		case ks.Revision == 0:
			a.updates[s] = n
		case ks.Entry != nil && ks.Entry.Revision == ks.Revision && ks.Entry.MD5 == ks.MD5 && genuine(ks.Entry, s.key):
			n.found, n.entry = true, viewOf(*ks.Entry)
			a.updates[s] = n
		case s.value != nil && s.value.presence == present && s.value.entry.Revision == ks.Revision && s.value.entry.MD5 == ks.MD5:
			n.found, n.entry = true, s.value.entry // the content is known already
			a.updates[s] = n
		default:
			a.named[s] = ks
		}
	}
	return nil
}

// retryMissing adds the contents that earlier answers named to those that this one
// names.
func (a *pollAnswer) retryMissing(f *fetcher) {
	f.slots.mu.Lock()
	defer f.slots.mu.Unlock()
	for s := range f.missing.Take() {
		if _, updated := a.updates[s]; !updated && s.announced != nil && a.named[s] == nil {
			a.named[s] = s.announced
		}
	}
}

// fetchNamed fetches the contents that the answer only names, for at most
// namedPatience.
func (a *pollAnswer) fetchNamed(ctx context.Context, f *fetcher) {
	if len(a.named) == 0 {
		return
	}
	slots := make([]*slot, 0, len(a.named))
	for s := range a.named {
		slots = append(slots, s)
	}
	fetching, cancel := context.WithTimeoutCause(ctx, namedPatience, errTimeout)
	fetched, failed := f.fetchAll(fetching, slots, a.resp.Position)
	cancel()
	for s, n := range fetched {
		a.updates[s] = n
		delete(a.named, s)
	}
	if len(failed) > 0 {
		f.log.Info("contents named by a poll could not be fetched; trying on", "count", len(failed), "error", anyOf(failed))
	}
}

// apply applies the whole answer. No listener runs, and none sees a part of it,
// before all is done.
func (a *pollAnswer) apply(f *fetcher) (useful bool) {
	t := f.slots
	t.mu.Lock()
	defer t.mu.Unlock()
	at, newest := a.resp.Position, f.calls.newestSeen()
	touched := make(map[*slot]bool, len(a.updates)+len(t.unsynced))
	for s, err := range a.denied {
		touched[s], useful = true, true
		f.refuse(s, err)
	}

	apart := make(map[*slot]bool) // slots not known exactly up to the position of the answer
	for s, n := range a.updates {
		touched[s] = true
		before := s.value
		if !t.learn(s, n, newest) {
			apart[s] = true
			f.log.Warn("older or contradicting answer refused", "key", s.key, "revision", n.entry.Revision)
			continue
		}
		useful = useful || before != s.value
		if n.at.Compare(at) > 0 {
			t.unsync(s) // fetched, and newer than the answer
			apart[s] = true
		}
	}
	for s, ks := range a.named {
		if !s.joined {
			continue // let go or refused meanwhile
		}
		touched[s] = true
		s.freeze(&t.confirmedAsOf)
		useful = useful || s.announced == nil || s.announced.Revision != ks.Revision
		s.announced = &conf.KeyState{Key: ks.Key, Revision: ks.Revision, View: max(ks.View, ks.Revision), MD5: ks.MD5}
		s.announcedIn = at.Epoch.Generation
		f.missing.Put(s, struct{}{})
	}
	for s := range t.unsynced {
		if s.joinedAt > a.version || apart[s] {
			continue
		}
		if _, updated := a.updates[s]; !updated && s.announced == nil && !a.unmentioned(t, s, newest) {
			continue
		}
		touched[s], s.synced, s.awaited, useful = true, true, false, true
		delete(t.unsynced, s)
	}
	useful = useful || at != t.position
	t.position = at
	if before := t.confirmedAsOf.Load(); before == nil || a.asOf.After(*before) {
		asOf := a.asOf // a copy, so that a itself is not kept
		t.confirmedAsOf.Store(&asOf)
	}
	for s := range touched {
		s.show()
	}
	for s := range touched {
		t.shown(s)
	}
	return useful
}

// unmentioned applies that the answer says nothing about s, which is therefore
// still as the client holds it. It returns false if s is known at a later position
// by now.
func (a *pollAnswer) unmentioned(t *slots, s *slot, newest conf.Position) bool {
	n := update{at: a.resp.Position, asOf: a.asOf}
	if s.value != nil && s.value.presence == present {
		n.found, n.entry = true, s.value.entry
	}
	return t.learn(s, n, newest)
}
