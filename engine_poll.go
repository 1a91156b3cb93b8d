package diamond

import (
	"context"
	"errors"
	"time"

	"github.com/linnaname/gdiamond/internal/budget"
	"github.com/linnaname/gdiamond/internal/freshstack"
	"github.com/linnaname/gdiamond/internal/seeded"
)

// Poll implements [Transport].
func (s *server) Poll(ctx context.Context, req *PollRequest) (*PollResponse, error) {
	resp, err := s.poll(ctx, req)
	switch {
	case err == nil && resp.Resync:
		s.counters.pollResync.Add(1)
	case err == nil && len(resp.Changed)+len(resp.Denied) > 0:
		s.counters.pollChanged.Add(1)
	case err == nil && resp.Draining:
		s.counters.pollDrained.Add(1)
	case err == nil:
		s.counters.pollTimeout.Add(1)
	case errors.Is(err, ErrOverloaded):
		s.counters.pollShed.Add(1)
	case ctx.Err() != nil:
		s.counters.pollCanceled.Add(1)
	default:
		s.counters.pollFailed.Add(1)
	}
	if err != nil {
		return nil, answerError(ctx, "poll", Key{}, err)
	}
	return resp, nil
}

func (s *server) poll(ctx context.Context, req *PollRequest) (*PollResponse, error) {
	deadline := time.Now().Add(min(max(req.Wait, 0), MaxWait))
	var q *query
	var resp *PollResponse
	var err error
	freshstack.Run(func() { q, resp, err = s.arrive(ctx, req) })
	if q == nil {
		return resp, err
	}
	defer s.keySets.release(q.set)
	if resp != nil || err != nil {
		return s.finish(resp, false), err
	}
	timeout := time.Until(deadline)
	if timeout <= 0 || s.draining.Load() {
		return s.finish(&PollResponse{Position: q.position}, false), nil
	}
	if err := s.park(); err != nil {
		return nil, err
	}
	defer s.parked.Add(-1)
	if req.Parked != nil {
		req.Parked()
	}
	return s.wait(ctx, q, timeout)
}

// arrive checks a poll and compares once. It returns no query where nothing can
// be waited for. It goes deep, so polls that may wait call it apart: what
// thousands of parked polls take is mostly their stacks.
func (s *server) arrive(ctx context.Context, req *PollRequest) (*query, *PollResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	wait := min(max(req.Wait, 0), MaxWait)
	if err := s.notBeforeSeen(ctx, req.Position, min(wait, reachTimeout)); err != nil {
		return nil, nil, err
	}
	q, err := s.query(req, budget.Source(CallerFrom(ctx).Address))
	if err != nil {
		return nil, nil, err
	}
	if q.set == nil || s.trail.contradicts(q.position) {
		s.keySets.release(q.set)
		return nil, s.finish(&PollResponse{Resync: true, Position: s.position()}, false), nil
	}
	resp, err := s.compare(ctx, q)
	if err == nil && len(q.set.denied) > 0 && (resp == nil || !resp.Resync) {
		resp = denying(q, resp)
	}
	return q, resp, err
}

// denying returns resp with the keys of q that may not be read; where there is
// nothing else to say, an answer that says only that.
func denying(q *query, resp *PollResponse) *PollResponse {
	with := PollResponse{Position: q.position}
	if resp != nil {
		with = *resp // it is shared
	}
	with.Denied = q.set.denied
	return &with
}

// wait answers a poll when there is something to say, and at the deadline.
// While it waits it keeps nothing of the request, and little on its stack.
func (s *server) wait(ctx context.Context, q *query, timeout time.Duration) (*PollResponse, error) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for woken, last := false, false; ; woken = true {
		wake := make(chan struct{})
		waiter := q.set.group.Wait(func() { close(wake) }) // first register, then compare
		var resp *PollResponse
		var err error
		if !woken && seeded.CheckThenRegister {
			// nothing is compared
		} else if woken { // an answer is near, which needs the stack too
			resp, err = s.compare(ctx, q)
		} else {
			freshstack.Run(func() { resp, err = s.compare(ctx, q) })
		}
		switch {
		case resp != nil || err != nil:
			waiter.Cancel()
			return s.finish(resp, true), err
		case last || s.draining.Load():
			waiter.Cancel()
			return s.finish(&PollResponse{Position: q.position}, true), nil
		}
		select {
		case <-wake:
		case <-timer.C:
			last = true
		case <-ctx.Done():
			waiter.Cancel()
			return nil, ctx.Err()
		}
		waiter.Cancel()
	}
}

// park counts one more that waits, unless there are too many.
func (s *server) park() error {
	if s.parked.Add(1) > int64(s.cfg.maxWaiters) {
		s.parked.Add(-1)
		return overloaded("%d requests are waiting", s.cfg.maxWaiters)
	}
	return nil
}

// finish returns resp as this caller is to see it. Resp may be shared: it is
// copied rather than changed.
func (s *server) finish(resp *PollResponse, waited bool) *PollResponse {
	if resp == nil {
		return nil
	}
	draining, stale, applied := s.draining.Load(), s.stale(), resp.Applied
	if !waited {
		applied = time.Time{}
	}
	if resp.Draining == draining && resp.Stale == stale && resp.Applied == applied {
		return resp
	}
	c := *resp
	c.Draining, c.Stale, c.Applied = draining, stale, applied
	return &c
}
