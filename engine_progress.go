package diamond

import (
	"sync"
	"time"
)

const (
	// stallAfter is how long the storage may take to show what is committed
	// before that is reported.
	stallAfter = 5 * time.Second
	// claimLife is for how long a position that a nudge named is waited for: it is
	// a claim, and not every claim is true.
	claimLife = time.Minute
)

// progress watches whether the feed gets to what is known to be committed.
type progress struct {
	mu    sync.Mutex
	first expected // that has not been reached; guarded by mu
	last  expected // the newest, of a later time than first; guarded by mu
}

// expected is a position that somebody has committed.
type expected struct {
	position Position
	since    time.Time // when the server learned of it; zero: nothing is expected
	claimed  bool      // by a nudge
}

// expect notes that p, of the epoch of st, is committed.
func (p *progress) expect(st *state, at Position, claimed bool) {
	if st == nil || at.Epoch != st.position.Epoch || st.reached(at) {
		return
	}
	e := expected{at, time.Now(), claimed}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.first.since.IsZero():
		p.first = e
	case at.Compare(p.last.position) > 0 && at.Compare(p.first.position) > 0:
		p.last = e
	case !claimed && at.Compare(p.first.position) <= 0 && p.first.claimed:
		p.first = e // better known than what is claimed
	}
}

// lag returns for how long st has not had what is committed.
func (p *progress) lag(st *state) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range []expected{p.first, p.last} {
		if !e.settled(st) {
			return max(time.Since(e.since), 1)
		}
	}
	return 0
}

// settle forgets what st has, and returns for how long it has not had the rest.
func (p *progress) settle(st *state) time.Duration {
	p.mu.Lock()
	for !p.first.since.IsZero() && p.first.settled(st) {
		p.first, p.last = p.last, expected{}
	}
	p.mu.Unlock()
	return p.lag(st)
}

// settled reports whether nothing is expected any more: st has it, or it was
// claimed, and has not come for so long that the claim was not true.
func (e *expected) settled(st *state) bool {
	return e.since.IsZero() || st == nil || st.reached(e.position) || e.claimed && time.Since(e.since) > claimLife
}

// stalled returns an error when the storage has not shown for too long what is
// committed, though it can be read.
func (p *progress) stalled(st *state) error {
	if age := p.settle(st); age >= stallAfter {
		return Errorf(errFeedStalled, "the storage has shown nothing after revision %d for %v, and more is committed",
			st.position.Revision, age.Round(time.Second))
	}
	return nil
}
