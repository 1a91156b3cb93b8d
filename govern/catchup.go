package govern

import (
	"context"
	"sync"
	"time"
)

const (
	// catchUpGap is the least time between the beginnings of two runs.
	catchUpGap = 100 * time.Millisecond
	// catchUpTime is the longest time of a run, and the longest that a caller waits for one.
	catchUpTime = time.Second
)

// catchUps brings the server to the storage's head for those who would be refused because of
// something that the server does not know yet. However many ask, one run is under way, and
// at most ten begin in a second. Make one with [newCatchUps]. It is safe for concurrent use.
type catchUps struct {
	ctx context.Context // of all runs; ends when the Centre is closed
	run func(ctx context.Context) error

	mu   sync.Mutex
	next *catchUpRun // that has not begun; guarded by mu
	last *catchUpRun // that began last, or is about to; guarded by mu
}

// catchUpRun is one run, for all who asked before it began.
type catchUpRun struct {
	begun time.Time     // written before done is closed
	done  chan struct{} // closed at its end
	err   error         // written before done is closed
}

// newCatchUps returns what calls run until ctx ends.
func newCatchUps(ctx context.Context, run func(ctx context.Context) error) *catchUps {
	return &catchUps{ctx: ctx, run: run}
}

// wait returns once a run has ended that began after the call. The error is that of the run,
// or that of a context that ended first. A run that was under way already could have missed
// what the caller asks for.
func (c *catchUps) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, catchUpTime)
	defer cancel()
	c.mu.Lock()
	r := c.next
	if r == nil {
		r = &catchUpRun{done: make(chan struct{})}
		go c.begin(r, c.last)
		c.next, c.last = r, r
	}
	c.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin makes the run r after the run before, which may be nil.
func (c *catchUps) begin(r, before *catchUpRun) {
	defer close(r.done)
	if before != nil {
		<-before.done
		pause := time.NewTimer(time.Until(before.begun.Add(catchUpGap)))
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-c.ctx.Done():
		}
	}
	c.mu.Lock()
	c.next = nil // who comes from now on needs a later run
	c.mu.Unlock()
	r.begun = time.Now()
	ctx, cancel := context.WithTimeout(c.ctx, catchUpTime)
	defer cancel()
	r.err = c.run(ctx)
}
