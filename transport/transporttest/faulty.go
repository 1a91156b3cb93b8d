package transporttest

import (
	"context"
	"fmt"
	"sync"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// Faulty is a [diamond.Transport] that passes calls on to another one, and fails on
// command. It tests how a program behaves while its servers fail. It is safe for
// concurrent use. Each command applies to the calls that begin after it, and
// [Faulty.Partition] also to those under way.
type Faulty struct {
	next diamond.Transport

	mu       sync.Mutex
	fault    error         // guarded by mu
	delay    time.Duration // guarded by mu
	drop     bool          // guarded by mu
	cut      chan struct{} // guarded by mu; closed while there is a partition
	healed   chan struct{} // guarded by mu; closed while there is none
	parted   bool          // guarded by mu
	calls    int           // guarded by mu
	answered int           // guarded by mu
}

// giveUp is the time after which a call without an answer fails, in addition to its wait.
const giveUp = 5 * time.Second

var _ diamond.Transport = (*Faulty)(nil)

// NewFaulty returns a Faulty that passes all calls on to next until the first command.
func NewFaulty(next diamond.Transport) *Faulty {
	f := &Faulty{next: next, cut: make(chan struct{}), healed: make(chan struct{})}
	close(f.healed)
	return f
}

// Fail makes calls fail with err, at once and without being passed on.
func (f *Faulty) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = err
}

// Delay makes calls wait for d before they are passed on.
func (f *Faulty) Delay(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay = d
}

// DropAnswers makes the answers of calls get lost after the calls have been passed on and
// done. A Commit then fails with ErrUnknownOutcome, and all other calls with
// ErrUnavailable.
func (f *Faulty) DropAnswers() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop = true
}

// Partition makes calls get no answer, including those under way, until [Faulty.Heal].
// Like those of a client end over a network, the calls fail 5 s after the wait that they
// asked for, unless their context ends before.
func (f *Faulty) Partition() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.parted {
		f.parted = true
		close(f.cut)
		f.healed = make(chan struct{})
	}
}

// Heal ends all faults. Calls that were lost in a partition fail with ErrUnavailable, but
// a Commit that was under way fails with ErrUnknownOutcome.
func (f *Faulty) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.delay, f.drop = nil, 0, false
	if f.parted {
		f.parted = false
		close(f.healed)
		f.cut = make(chan struct{})
	}
}

// Calls returns the number of calls, and the number of those that the transport behind has
// answered.
func (f *Faulty) Calls() (made, answered int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls, f.answered
}

// orders are the commands that apply to one call.
type orders struct {
	fault  error
	delay  time.Duration
	drop   bool
	parted bool
	cut    <-chan struct{}
}

func (f *Faulty) begin() orders {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	return orders{f.fault, f.delay, f.drop, f.parted, f.cut}
}

// silence waits until the partition has healed, the caller has given up, or
// its time is over.
func (f *Faulty) silence(ctx context.Context, wait time.Duration) {
	f.mu.Lock()
	healed := f.healed
	f.mu.Unlock()
	timer := time.NewTimer(giveUp + wait)
	defer timer.Stop()
	select {
	case <-healed:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// lost returns the error of a call that gets no answer. Sent says that the call may have
// been done.
func lost(ctx context.Context, op string, sent bool) error {
	err := conf.ErrUnavailable
	if sent && op == "commit" {
		err = conf.ErrUnknownOutcome
	}
	e := &conf.Error{Op: op, Err: err, Detail: "faulty transport"}
	switch ended := ctx.Err(); {
	case ended == nil:
	case err == conf.ErrUnknownOutcome:
		e.Err = fmt.Errorf("%w: %w", err, ended)
	default:
		e.Err = ended
	}
	return e
}

// pass makes one call under the orders that apply.
func pass[Req, Resp any](ctx context.Context, f *Faulty, op string, wait time.Duration, req Req, ask func(context.Context, Req) (Resp, error)) (Resp, error) {
	var none Resp
	o := f.begin()
	if o.delay > 0 {
		timer := time.NewTimer(o.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return none, lost(ctx, op, false)
		}
	}
	switch {
	case o.fault != nil:
		return none, o.fault
	case o.parted:
		f.silence(ctx, wait)
		return none, lost(ctx, op, false)
	}
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		resp Resp
		err  error
	}
	answer := make(chan result, 1)
	go func() {
		resp, err := ask(asking, req)
		answer <- result{resp, err}
	}()
	select {
	case r := <-answer:
		f.mu.Lock()
		f.answered++
		f.mu.Unlock()
		if o.drop {
			return none, lost(ctx, op, true)
		}
		return r.resp, r.err
	case <-o.cut:
		f.silence(ctx, wait)
		cancel()
		<-answer
		return none, lost(ctx, op, true)
	}
}

// Fetch implements [diamond.Transport].
func (f *Faulty) Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	return pass(ctx, f, "fetch", 0, req, f.next.Fetch)
}

// Poll implements [diamond.Transport].
func (f *Faulty) Poll(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
	return pass(ctx, f, "poll", req.Wait, req, f.next.Poll)
}

// Commit implements [diamond.Transport].
func (f *Faulty) Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error) {
	return pass(ctx, f, "commit", 0, req, f.next.Commit)
}

// Changes implements [diamond.Transport].
func (f *Faulty) Changes(ctx context.Context, req *conf.ChangesRequest) (*conf.ChangesResponse, error) {
	return pass(ctx, f, "changes", req.Wait, req, f.next.Changes)
}

// List implements [diamond.Transport].
func (f *Faulty) List(ctx context.Context, req *conf.ListRequest) (*conf.ListResponse, error) {
	return pass(ctx, f, "list", 0, req, f.next.List)
}

// History implements [diamond.Transport].
func (f *Faulty) History(ctx context.Context, req *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	return pass(ctx, f, "history", 0, req, f.next.History)
}

// Report implements [diamond.Transport].
func (f *Faulty) Report(ctx context.Context, req *conf.ReportRequest) (*conf.ReportResponse, error) {
	return pass(ctx, f, "report", 0, req, f.next.Report)
}
