package engine

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/linnaname/gdiamond/conf"
)

// outcomes count what became of the requests of callers; see [conf.ServerCounters].
type outcomes struct {
	committed, conflict, refused, failed, unknown, shed, canceled atomic.Uint64
	pollChanged, pollTimeout, pollCanceled, pollShed, pollDrained atomic.Uint64
	pollResync, pollFailed                                        atomic.Uint64
}

// commit counts what became of a change set.
func (o *outcomes) commit(err error) {
	switch {
	case err == nil:
		o.committed.Add(1)
	case errors.Is(err, conf.ErrUnknownOutcome):
		o.unknown.Add(1)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		o.canceled.Add(1)
	case errors.Is(err, conf.ErrConflict):
		o.conflict.Add(1)
	case errors.Is(err, conf.ErrOverloaded):
		o.shed.Add(1)
	case errors.Is(err, conf.ErrInvalid), errors.Is(err, conf.ErrTooLarge), errors.Is(err, conf.ErrNotFound),
		errors.Is(err, conf.ErrBehind), errors.Is(err, conf.ErrDenied), errors.Is(err, conf.ErrUnauthenticated):
		o.refused.Add(1)
	default:
		o.failed.Add(1)
	}
}

// poll counts what became of a poll.
func (o *outcomes) poll(ctx context.Context, resp *conf.PollResponse, err error) {
	switch {
	case err == nil && resp.Resync:
		o.pollResync.Add(1)
	case err == nil && len(resp.Changed)+len(resp.Denied) > 0:
		o.pollChanged.Add(1)
	case err == nil && resp.Draining:
		o.pollDrained.Add(1)
	case err == nil:
		o.pollTimeout.Add(1)
	case errors.Is(err, conf.ErrOverloaded):
		o.pollShed.Add(1)
	case ctx.Err() != nil:
		o.pollCanceled.Add(1)
	default:
		o.pollFailed.Add(1)
	}
}

// describe fills in the counts.
func (o *outcomes) describe(to *conf.ServerCounters) {
	to.Committed, to.Conflict, to.Refused = o.committed.Load(), o.conflict.Load(), o.refused.Load()
	to.Failed, to.Unknown, to.Shed, to.Canceled = o.failed.Load(), o.unknown.Load(), o.shed.Load(), o.canceled.Load()
	to.PollChanged, to.PollTimeout, to.PollCanceled = o.pollChanged.Load(), o.pollTimeout.Load(), o.pollCanceled.Load()
	to.PollShed, to.PollDrained = o.pollShed.Load(), o.pollDrained.Load()
	to.PollResync, to.PollFailed = o.pollResync.Load(), o.pollFailed.Load()
}
