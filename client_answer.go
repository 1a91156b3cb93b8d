package diamond

import (
	"context"
	"time"
)

// namedPatience is for how long contents that a poll only names hold up all
// else; those that take longer come on their own.
const namedPatience = 3 * time.Second

// take takes in the answer to a poll: first the contents that it only names
// are fetched, then all of it is applied at once. useful reports whether the
// client knows more than before.
func (p *poller) take(ctx context.Context, version int, resp *PollResponse) (useful bool, err error) {
	if resp.Resync {
		if p.resync {
			return false, &Error{Op: "poll", Err: ErrUnavailable, Remote: true, Detail: "the server asks for all keys again and again"}
		}
		p.resync = true
		return true, nil
	}
	if resp.Draining && resp.Position.IsZero() {
		return false, nil
	}
	if err := p.calls.observe(resp.Position); err != nil {
		return false, opError("poll", Key{}, err)
	}
	asOf := time.Now().Add(-resp.Stale)

	a := pollAnswer{
		resp: resp, version: version, asOf: asOf,
		updates: make(map[*keySlot]update), named: make(map[*keySlot]*KeyState), denied: make(map[*keySlot]error),
	}
	if err := p.sort(&a); err != nil {
		return false, err
	}
	if p.outage.Failures() > 0 {
		p.retryMissing(&a) // what has healed for polls may have for contents
	}
	if len(a.named) > 0 {
		slots := make([]*keySlot, 0, len(a.named))
		for s := range a.named {
			slots = append(slots, s)
		}
		fetching, cancel := context.WithTimeoutCause(ctx, namedPatience, errTimeout)
		fetched, failed := p.fetchAll(fetching, slots, resp.Position)
		cancel()
		for s, n := range fetched {
			a.updates[s] = n
			delete(a.named, s)
		}
		if len(failed) > 0 {
			p.log.Info("contents named by a poll could not be fetched; trying on", "count", len(failed), "error", anyOf(failed))
		}
	}
	p.named, p.resync = version == p.version, false
	return p.apply(&a), nil
}

// pollAnswer is an answer to a poll, by slot.
type pollAnswer struct {
	resp    *PollResponse
	version int       // of the set of keys that was asked for
	asOf    time.Time // when it was so
	updates map[*keySlot]update
	named   map[*keySlot]*KeyState // changed, and the content is not here
	denied  map[*keySlot]error
}

// slot returns the slot that the answer tells of by key; nil: it was not asked for.
func (p *poller) slot(a *pollAnswer, key Key) *keySlot {
	if s, ok := p.slots.byKey.Load(key.Canonical()); ok && s.joined && s.joinedAt <= a.version {
		return s
	}
	return nil
}

// sort tells the states that an answer carries from those that it only names.
func (p *poller) sort(a *pollAnswer) error {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	if a.resp.Position.Compare(p.slots.position) < 0 {
		return &Error{Op: "poll", Err: ErrBehind, Remote: true}
	}
	for i := range a.resp.Denied {
		d := &a.resp.Denied[i]
		if s := p.slot(a, d.Key); s != nil {
			a.denied[s] = &Error{Op: "poll", Key: s.key, Err: ErrDenied, Detail: d.Detail, Remote: true}
		}
	}
	for i := range a.resp.Changed {
		ks := &a.resp.Changed[i]
		s := p.slot(a, ks.Key)
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
			n.found, n.entry = true, s.value.entry // it is here already
			a.updates[s] = n
		default:
			a.named[s] = ks
		}
	}
	return nil
}

// retryMissing adds to what an answer names the contents that earlier ones named.
func (p *poller) retryMissing(a *pollAnswer) {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	for s := range p.missing.Take() {
		if _, updated := a.updates[s]; !updated && s.announced != nil && a.named[s] == nil {
			a.named[s] = s.announced
		}
	}
}

// apply takes in a whole answer. No listener runs and no key shows any of it
// to one before all is done.
func (p *poller) apply(a *pollAnswer) (useful bool) {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	at, newest := a.resp.Position, p.calls.newestSeen()
	touched := make(map[*keySlot]bool, len(a.updates)+len(p.slots.unsynced))
	for s, err := range a.denied {
		touched[s], useful = true, true
		p.refuse(s, err)
	}

	apart := make(map[*keySlot]bool) // not known just up to the position of the answer
	for s, n := range a.updates {
		touched[s] = true
		before := s.value
		if !p.slots.learn(s, n, newest) {
			apart[s] = true
			p.log.Warn("older or contradicting answer refused", "key", s.key, "revision", n.entry.Revision)
			continue
		}
		useful = useful || before != s.value
		if n.at.Compare(at) > 0 {
			p.slots.unsync(s) // fetched, and newer than the answer
			apart[s] = true
		}
	}
	for s, ks := range a.named {
		if !s.joined {
			continue // let go, or refused, meanwhile
		}
		touched[s] = true
		s.freeze(&p.slots.confirmedAsOf)
		useful = useful || s.announced == nil || s.announced.Revision != ks.Revision
		s.announced = &KeyState{Key: ks.Key, Revision: ks.Revision, View: max(ks.View, ks.Revision), MD5: ks.MD5}
		s.announcedIn = at.Epoch.Generation
		p.missing.Put(s, struct{}{})
	}
	for s := range p.slots.unsynced {
		if s.joinedAt > a.version || apart[s] {
			continue
		}
		if _, updated := a.updates[s]; !updated && s.announced == nil && !p.unmentioned(s, a, newest) {
			continue
		}
		touched[s], s.synced, s.awaited, useful = true, true, false, true
		delete(p.slots.unsynced, s)
	}
	useful = useful || at != p.slots.position
	p.slots.position = at
	if before := p.slots.confirmedAsOf.Load(); before == nil || a.asOf.After(*before) {
		p.slots.confirmedAsOf.Store(&a.asOf)
	}
	for s := range touched {
		s.show()
	}
	for s := range touched {
		p.slots.shown(s)
	}
	return useful
}

// unmentioned takes in that a poll had nothing to say of s: it is as it was
// held. False: it is known at a later position by now.
func (p *poller) unmentioned(s *keySlot, a *pollAnswer, newest Position) bool {
	n := update{at: a.resp.Position, asOf: a.asOf}
	if s.value != nil && s.value.presence == present {
		n.found, n.entry = true, s.value.entry
	}
	return p.slots.learn(s, n, newest)
}
