package engine

import (
	"context"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/freshstack"
	"github.com/linnaname/gdiamond/internal/waitset"
)

// waiting is a poll from its arrival to its answer. Many thousands of polls wait at a time, and
// most of the memory that they take is their stacks. A stack doubles when it is full, and does
// not shrink while its goroutine waits. So what a poll needs is kept here and not in the frames
// below its wait, which are few and small, and what goes deep before the wait runs on another
// stack. A poll that waits keeps nothing of its request.
type waiting struct {
	server *Server
	ctx    context.Context
	req    *conf.PollRequest // nil once the poll waits
	void   <-chan struct{}   // the answer is Resync when it is closed; may be nil

	query    *query // nil if the poll is answered without one
	deadline time.Time
	timer    *time.Timer // nil unless the poll counts as parked
	waiter   *waitset.Waiter[conf.Key]
	// wake is one channel for changes and the deadline, because each channel that a goroutine
	// waits on takes memory.
	wake chan struct{}

	resp *conf.PollResponse
	err  error
}

// Poll implements diamond.Transport.
func (s *Server) Poll(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
	return s.answerPoll(ctx, req, nil)
}

// answerPoll answers a poll, and counts its outcome. It answers with Resync when void, which
// may be nil, is closed before there is another answer.
func (s *Server) answerPoll(ctx context.Context, req *conf.PollRequest, void <-chan struct{}) (*conf.PollResponse, error) {
	w := &waiting{server: s, ctx: ctx, req: req, void: void}
	w.wait()
	return w.answer()
}

// wait returns when the poll has its answer.
func (w *waiting) wait() {
	defer w.end()
	freshstack.Run(w.begin)
	for !w.answered() {
		select {
		case <-w.wake:
		case <-w.void:
		case <-w.ctx.Done():
		}
		w.lookAgain() // on this stack: an answer is near, which needs it too
	}
}

// answered reports whether the poll has its answer.
func (w *waiting) answered() bool { return w.resp != nil || w.err != nil }

// begin answers the poll at once if there are changes. Otherwise it prepares the wait.
func (w *waiting) begin() {
	wait := min(max(w.req.Wait, 0), conf.MaxWait)
	w.deadline = time.Now().Add(wait)
	w.query, w.resp, w.err = w.server.arrive(w.ctx, w.req, wait)
	if !w.answered() {
		w.park()
	}
}

// park begins the wait, unless there is nothing to wait for.
func (w *waiting) park() {
	p := w.server.polls
	timeout := time.Until(w.deadline)
	switch {
	case isVoid(w.void):
		w.resp = p.voided()
		return
	case timeout <= 0 || p.draining.Load():
		w.resp = p.finish(&conf.PollResponse{Position: w.query.position}, false)
		return
	}
	if w.err = p.park(); w.err != nil {
		return
	}
	w.wake = make(chan struct{}, 1)
	w.timer = time.AfterFunc(timeout, w.signal)
	if w.req.Parked != nil {
		w.req.Parked()
	}
	w.req = nil
	w.look()
}

// signal ends the present wait, or the next one.
func (w *waiting) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// look registers the poll for the next change of its keys, and then compares it.
func (w *waiting) look() {
	p := w.server.polls
	last := !time.Now().Before(w.deadline)
	w.waiter = w.query.set.Group.Wait(w.signal)
	resp, err := p.compare(w.ctx, w.query)
	switch {
	case resp != nil || err != nil:
		w.resp, w.err = p.finish(resp, true), err
	case last || p.draining.Load():
		w.resp = p.finish(&conf.PollResponse{Position: w.query.position}, true)
	}
}

// lookAgain answers the poll, or prepares another wait, after one has ended.
func (w *waiting) lookAgain() {
	w.waiter.Cancel()
	switch {
	case w.ctx.Err() != nil:
		w.err = w.ctx.Err()
	case isVoid(w.void):
		w.resp = w.server.polls.voided()
	default:
		w.look()
	}
}

// end gives back what the poll holds of the server.
func (w *waiting) end() {
	if w.timer != nil {
		w.timer.Stop()
		w.waiter.Cancel()
		w.server.polls.parked.Add(-1)
	}
	if w.query != nil {
		w.server.polls.release(w.query)
	}
}

// answer counts the outcome of the poll, and returns it as the caller gets it.
func (w *waiting) answer() (*conf.PollResponse, error) {
	err := w.err
	if err == nil {
		err = w.server.open()
	}
	w.server.outcomes.poll(w.ctx, w.resp, err)
	if err != nil {
		return nil, AnswerError(w.ctx, "poll", conf.Key{}, err)
	}
	return w.resp, nil
}
