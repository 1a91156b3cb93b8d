package diamond

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/linnaname/gdiamond/internal/apart"
	"github.com/linnaname/gdiamond/internal/waitset"
)

// want is what a poll is about: a set of keys and what the caller has of it.
type want struct {
	set      *keySet
	position Position // the caller knows all keys up to it,
	held     []Held   // but for these; sorted by key
}

// polling is one call of Poll.
type polling struct {
	server *server
	want   *want
	timer  *time.Timer // of the end of the wait; nil before it is parked
	waiter *waitset.Waiter[Key]
	wake   chan struct{} // closed by a change
	done   bool          // resp and err are the answer
	resp   *PollResponse
	err    error
}

// Poll implements [Transport].
//
// Polls are parked here by the thousand, each on its caller's stack. So what
// comes before the wait runs apart, and nothing deep runs on that stack until
// there is an answer.
func (s *server) Poll(ctx context.Context, req *PollRequest) (*PollResponse, error) {
	p := &polling{server: s}
	defer p.end()
	apart.Run(func() { p.begin(ctx, req) })
	for !p.done {
		select {
		case <-p.wake:
			p.look(ctx, false)
		case <-p.timer.C:
			p.look(ctx, true)
		case <-ctx.Done():
			p.answer(nil, ctx.Err())
		}
	}
	s.countPoll(ctx, p.resp, p.err)
	if p.err != nil {
		return nil, answerError(ctx, "poll", Key{}, p.err)
	}
	return p.resp, nil
}

func (s *server) countPoll(ctx context.Context, resp *PollResponse, err error) {
	switch {
	case err == nil && resp.Resync:
	case err == nil && len(resp.Changed) > 0:
		s.counters.pollChanged.Add(1)
	case err == nil && resp.Draining:
		s.counters.pollDrained.Add(1)
	case err == nil:
		s.counters.pollTimeout.Add(1)
	case errors.Is(err, ErrOverloaded):
		s.counters.pollShed.Add(1)
	case ctx.Err() != nil:
		s.counters.pollCanceled.Add(1)
	}
}

// answer ends the poll. Whether it has waited shows in what it is told.
func (p *polling) answer(resp *PollResponse, err error) {
	p.resp, p.err, p.done = p.server.finish(resp, p.timer != nil), err, true
}

// begin answers the poll if there is something to say now, else parks it.
func (p *polling) begin(ctx context.Context, req *PollRequest) {
	s := p.server
	if err := ctx.Err(); err != nil {
		p.answer(nil, err)
		return
	}
	wait := min(max(req.Wait, 0), MaxWait)
	deadline := time.Now().Add(wait)
	if err := s.notBefore(ctx, req.Position, min(wait, reachTimeout)); err != nil {
		p.answer(nil, err)
		return
	}
	var err error
	if p.want, err = s.want(req); err != nil {
		p.answer(nil, err)
		return
	}
	if p.want.set == nil || s.trail.contradicts(p.want.position) {
		p.answer(&PollResponse{Resync: true, Position: s.position()}, nil)
		return
	}
	if resp, err := s.compare(ctx, p.want); resp != nil || err != nil {
		p.answer(resp, err)
		return
	}
	timeout := time.Until(deadline)
	if timeout <= 0 || s.draining.Load() {
		p.answer(&PollResponse{Position: p.want.position}, nil)
		return
	}
	if err := s.park(); err != nil {
		p.answer(nil, err)
		return
	}
	p.timer = time.NewTimer(timeout)
	p.look(ctx, false)
}

// look answers the poll if there is something to say, or if the time is up;
// else the next change closes p.wake.
func (p *polling) look(ctx context.Context, last bool) {
	if p.waiter != nil {
		p.waiter.Cancel()
	}
	wake := make(chan struct{})
	p.wake, p.waiter = wake, p.want.set.group.Wait(func() { close(wake) }) // first register, then compare
	resp, err := p.server.compare(ctx, p.want)
	switch {
	case resp != nil || err != nil:
		p.answer(resp, err)
	case last || p.server.draining.Load():
		p.answer(&PollResponse{Position: p.want.position}, nil)
	}
}

// end lets go of all that the poll holds.
func (p *polling) end() {
	if p.waiter != nil {
		p.waiter.Cancel()
	}
	if p.timer != nil {
		p.timer.Stop()
		p.server.parked.Add(-1)
	}
	if p.want != nil {
		p.server.keySets.release(p.want.set)
	}
}

// park counts one more that waits, unless there are too many.
func (s *server) park() error {
	if s.parked.Add(1) > int64(s.cfg.maxWaiters) {
		s.parked.Add(-1)
		return shed("%d requests are waiting", s.cfg.maxWaiters)
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

func (s *server) position() Position {
	if st := s.state.Load(); st != nil {
		return st.position
	}
	return Position{}
}

// want checks what a poll asks for. Its set is nil where the server does not
// know it, else it must be released.
func (s *server) want(req *PollRequest) (*want, error) {
	if n := max(len(req.Keys), len(req.Held)); n > MaxPollKeys {
		return nil, Errorf(ErrTooLarge, "keys: %d, more than %d", n, MaxPollKeys)
	}
	keys, err := publicKeys(req)
	if err != nil {
		return nil, err
	}
	w := &want{position: req.Position}
	if w.held, err = sortedHeld(req.Held); err != nil {
		return nil, err
	}
	if w.set, err = s.keySets.acquire(req.Set, keys); err != nil || w.set == nil {
		return w, err
	}
	for i := range w.held {
		if _, ok := slices.BinarySearchFunc(w.set.keys, w.held[i].Key, Key.Compare); !ok {
			s.keySets.release(w.set)
			return nil, invalidf("held: key %s is not in the set", clip(w.held[i].Key.String()))
		}
	}
	return w, nil
}

// publicKeys returns the canonical keys of a poll, having checked them.
func publicKeys(req *PollRequest) ([]Key, error) {
	if len(req.Keys) == 0 {
		return nil, nil
	}
	keys := make([]Key, len(req.Keys))
	for i, k := range req.Keys {
		keys[i] = k.Canonical()
		if err := validatePublic(keys[i]); err != nil {
			return nil, err
		}
	}
	if HashKeys(keys) != req.Set {
		return nil, invalidf("set: is not the hash of the keys")
	}
	return keys, nil
}

func sortedHeld(held []Held) ([]Held, error) {
	if len(held) == 0 {
		return nil, nil
	}
	sorted := slices.Clone(held)
	for i := range sorted {
		h := &sorted[i]
		h.Key = h.Key.Canonical()
		if h.Revision < AnyRevision {
			return nil, invalidf("held: revision %d of key %s", h.Revision, clip(h.Key.String()))
		}
	}
	slices.SortFunc(sorted, func(a, b Held) int { return a.Key.Compare(b.Key) })
	for i := range sorted[1:] {
		if sorted[i].Key == sorted[i+1].Key {
			return nil, invalidf("held: key %s appears more than once", clip(sorted[i].Key.String()))
		}
	}
	return sorted, nil
}
