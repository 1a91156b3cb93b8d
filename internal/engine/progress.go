package engine

import (
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

const (
	// stallAfter is the longest time that the storage may take to show a commit before the
	// feed reports a stall.
	stallAfter = 5 * time.Second
	// claimLife is the time for which the feed expects a position that a nudge named. Such
	// a position is only a claim.
	claimLife = time.Minute
)

// progress tracks the positions that are known to be committed and that the feed has
// not reached. It keeps only two of them: the lag is the age of the first, and when that is
// reached, the last takes its place.
type progress struct {
	mu    sync.Mutex
	first expected // the one that has been expected for longest; guarded by mu
	last  expected // the newest, expected since a later time than first; guarded by mu
}

// expected is a position that somebody has committed.
type expected struct {
	position conf.Position
	since    time.Time // when the server learned of it, or zero if nothing is expected
	claimed  bool      // by a nudge
}

// expect records that position at, of the epoch of st, is committed.
func (p *progress) expect(st *state, at conf.Position, claimed bool) {
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
		p.first = e // a commit of this server replaces a claim
	}
}

// lag returns the time since a position became known that st has not reached, or 0.
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

// settle forgets the positions that st has reached, and returns the lag of the rest.
func (p *progress) settle(st *state) time.Duration {
	p.mu.Lock()
	for !p.first.since.IsZero() && p.first.settled(st) {
		p.first, p.last = p.last, expected{}
	}
	p.mu.Unlock()
	return p.lag(st)
}

// settled reports whether e is no longer expected: st has reached it, or it was only
// claimed and has not come within claimLife.
func (e *expected) settled(st *state) bool {
	return e.since.IsZero() || st == nil || st.reached(e.position) || e.claimed && time.Since(e.since) > claimLife
}

// stalled returns an error if the storage, which can be read, has not shown a commit for
// stallAfter.
func (p *progress) stalled(st *state) error {
	if age := p.settle(st); age >= stallAfter {
		return conf.Errorf(errFeedStalled, "the storage has shown nothing after revision %d for %v, and more is committed",
			st.position.Revision, age.Round(time.Second))
	}
	return nil
}
