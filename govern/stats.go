package govern

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Stats counts what a [Centre] has decided since it was made.
type Stats struct {
	// Mode is one of conf.ModeOpen, conf.ModeObserve and conf.ModeClosed.
	Mode string
	// Denied counts refused requests, and keys that polls were refused, by reason: one of
	// [conf.Denials].
	Denied map[string]uint64
	// WouldDeny counts, in observe mode, what would have been refused, in the same way.
	WouldDeny map[string]uint64
	// Decisions counts the sets of keys about which was decided for a poll. A poll whose set
	// was decided about before, under the same rights, causes none.
	Decisions uint64
	// CatchUps counts requests that waited for the storage's head, because they would
	// otherwise have been refused for something that the server did not know.
	CatchUps uint64
	// Proofs counts proofs of identity that were accepted.
	Proofs uint64
	// Redecided counts waits of polls and watches that ended because the rights of their
	// principal had changed.
	Redecided uint64
}

// tally counts for [Stats]. It is safe for concurrent use.
type tally struct {
	mu                sync.Mutex
	denied, wouldDeny map[string]uint64 // guarded by mu
	catchUps          uint64            // guarded by mu
	proofs, redecided atomic.Uint64
}

// deny counts n denials for a reason, or if would is set, what would be denials.
func (t *tally) deny(reason string, n int, would bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts := &t.denied
	if would {
		counts = &t.wouldDeny
	}
	if *counts == nil {
		*counts = make(map[string]uint64)
	}
	(*counts)[reason] += uint64(n)
}

func (t *tally) caughtUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.catchUps++
}

// stats returns the counts.
func (t *tally) stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Stats{
		Denied: maps.Clone(t.denied), WouldDeny: maps.Clone(t.wouldDeny), CatchUps: t.catchUps,
		Proofs: t.proofs.Load(), Redecided: t.redecided.Load(),
	}
}
