package diamond

import (
	"context"
	"errors"
	"sync/atomic"
)

// counters are the server's own; see [ServerCounters].
type counters struct {
	committed, conflict, refused, failed, unknown, shed           atomic.Uint64
	canceled                                                      atomic.Uint64
	pollChanged, pollTimeout, pollCanceled, pollShed, pollDrained atomic.Uint64
	pollResync, pollFailed                                        atomic.Uint64
	checks, checkFailures, divergences                            atomic.Uint64
}

func (c *counters) read(served *served) ServerCounters {
	return ServerCounters{
		Committed: c.committed.Load(), Conflict: c.conflict.Load(), Refused: c.refused.Load(),
		Failed: c.failed.Load(), Unknown: c.unknown.Load(), Shed: c.shed.Load(),
		PollChanged: c.pollChanged.Load(), PollTimeout: c.pollTimeout.Load(), PollCanceled: c.pollCanceled.Load(),
		PollShed: c.pollShed.Load(), PollDrained: c.pollDrained.Load(),
		PollResync: c.pollResync.Load(), PollFailed: c.pollFailed.Load(), Canceled: c.canceled.Load(),
		Wakeups:   served.wakeups.Load(),
		CacheHits: served.contents.hits.Load(), CacheLoads: served.contents.loaded.Load(),
		Forks:  served.forks.Load(),
		Checks: c.checks.Load(), CheckFailures: c.checkFailures.Load(), Divergences: c.divergences.Load(),
	}
}

// outcome counts what became of a change set.
func (c *counters) outcome(err error) {
	switch {
	case err == nil:
		c.committed.Add(1)
	case errors.Is(err, ErrUnknownOutcome):
		c.unknown.Add(1)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		c.canceled.Add(1)
	case errors.Is(err, ErrConflict):
		c.conflict.Add(1)
	case errors.Is(err, ErrOverloaded):
		c.shed.Add(1)
	case errors.Is(err, ErrInvalid), errors.Is(err, ErrTooLarge), errors.Is(err, ErrNotFound), errors.Is(err, ErrDenied):
		c.refused.Add(1)
	default:
		c.failed.Add(1)
	}
}
