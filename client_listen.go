package diamond

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"time"

	"github.com/linnaname/gdiamond/internal/seeded"
	"github.com/linnaname/gdiamond/internal/worker"
)

// slowListener is how long a listener may take before that is logged.
const slowListener = 30 * time.Second

// errPanic is what a listener that panicked is taken to have returned.
var errPanic = errors.New("the listener panicked")

// Subscribe implements [Client].
func (c *client) Subscribe(key Key, listener Listener) (*Subscription, error) {
	key = key.Canonical()
	if err := key.Validate(); err != nil {
		return nil, opError("subscribe", key, err)
	}
	if listener == nil {
		return nil, &Error{Op: "subscribe", Key: key, Err: ErrInvalid, Detail: "listener: is nil"}
	}
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	s, err := c.slots.slotOf(key)
	if err != nil {
		return nil, opError("subscribe", key, err)
	}
	l := &subscription{slot: s, listener: listener, waited: s.loading && s.late}
	l.worker = worker.New(func(ctx context.Context) { c.tell(ctx, l) })
	s.listeners = append(s.listeners, l)
	if s.shown.Load() == nil {
		c.startLoad(s)
	}
	c.notify(s)
	return &Subscription{
		stop:      func() { c.stopListening(l) },
		wait:      func(ctx context.Context) error { return opError("wait", key, c.waitApplied(ctx, l, false)) },
		first:     func(ctx context.Context) error { return opError("wait", key, c.waitApplied(ctx, l, true)) },
		delivered: func() (Config, bool) { return c.deliveredTo(l) },
		enter:     func(w *worker.Worker) bool { return c.enter(w, key) },
		exit:      c.exit,
	}, nil
}

// notify has the listeners of s told of its state that have not been. Where the
// state equals the one that they applied, nobody is called: it takes the place
// of that one. mu must be held.
func (c *client) notify(s *keySlot) {
	st, replaced := s.shown.Load(), false
	for _, l := range s.listeners {
		if l.takeOver(st) {
			replaced = true
		}
		if l.due() != nil || l.listener == nil { // of several keys, this may be the one that was missing
			l.worker.Wake()
		}
	}
	if replaced {
		c.judge(s)
	}
}

// enter notes that w calls a callback that hangs on a subscription to key.
// False: it must not, as the client is closed.
func (c *client) enter(w *worker.Worker, key Key) bool {
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	if c.slots.closed.Load() {
		return false
	}
	c.running[w] = key
	return true
}

// exit notes that the call of w is over.
func (c *client) exit(w *worker.Worker) {
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	delete(c.running, w)
}

// deliveredTo returns what the listener was told last, as the client knows it now;
// false: nothing yet.
func (c *client) deliveredTo(l *subscription) (Config, bool) {
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	if l.delivered == nil {
		return Config{}, false
	}
	config, _ := l.delivered.read(&c.slots.confirmedAsOf)
	return config, true
}

// tell tells a listener what there is to tell. A first value that it rejects
// is followed by the last good snapshot.
func (c *client) tell(ctx context.Context, l *subscription) {
	c.slots.mu.Lock()
	st := l.due()
	if st == nil {
		c.slots.mu.Unlock()
		return
	}
	first := l.delivered == nil
	l.busy, l.delivered = true, st
	c.running[l.worker] = l.slot.key
	c.slots.mu.Unlock()

	config, _ := st.read(&c.slots.confirmedAsOf)
	config.Deleted = st.err != nil
	call := func(config Config) error {
		return c.call(l, config.Revision, func() error { return l.listener.OnConfig(ctx, config) })
	}
	err, instead := errPanic, false // where the listener ends its goroutine
	defer func() { c.judged([]*subscription{l}, err, instead) }()
	if err = call(config); err == nil || !first {
		return
	}
	good, ok := c.disk.lastGood(l.slot.key)
	if !ok || equalEntries(&good.Entry, &config.Entry) || ctx.Err() != nil {
		return
	}
	c.slots.mu.Lock()
	c.reject(l, err)
	c.slots.mu.Unlock()
	if call(good) == nil {
		err, instead = nil, true
	}
}

// call calls the listener with the value of revision, and makes an error of a panic.
func (c *client) call(l *subscription, revision int64, listener func() error) (err error) {
	slow := time.AfterFunc(slowListener, func() {
		c.log.Warn("a listener is taking long", "key", l.slot.key, "revision", revision, "after", slowListener)
	})
	defer slow.Stop()
	defer func() {
		if recover() != nil { // the value may hold content, the stack does not
			err = errPanic
			if seeded.ListenerPanicKillsLoop {
				l.worker.Halt()
			}
			c.log.Error("a listener panicked", "key", l.slot.key, "revision", revision, "stack", string(debug.Stack()))
		}
	}()
	return listener()
}

// judged notes what became of the values that one call was made with; instead:
// of the last good one that it was made with in their place.
func (c *client) judged(parts []*subscription, err error, instead bool) {
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	for _, l := range parts {
		l.busy, l.err = false, err
		delete(c.running, l.worker)
		switch {
		case err != nil:
			c.reject(l, err)
		case !instead:
			l.rejected, l.reason = 0, nil
		}
		l.takeOver(l.slot.shown.Load())
		if l.due() != nil {
			l.worker.Wake()
		}
		c.judge(l.slot)
		l.slot.broadcast()
	}
}

// reject notes that a listener refused what it was told. mu must be held.
func (c *client) reject(l *subscription, err error) {
	l.rejected, l.reason = l.delivered.config.Revision, err
	c.log.Warn("a listener rejected a value", "key", l.slot.key, "revision", l.rejected, "reason", reasonOf(err))
}

// reasonOf is all that a server or a log gets to know of a rejection.
func reasonOf(err error) string {
	if errors.Is(err, errPanic) {
		return "panic"
	}
	return "error"
}

// judge sums up what the listeners of s made of its value: one that any
// rejects is rejected, one that all have applied is good. mu must be held.
func (c *client) judge(s *keySlot) {
	v, st := s.value, s.shown.Load()
	if v == nil || v.presence != present || st == nil || st.config.Source == SourceOverride || len(s.listeners) == 0 {
		return
	}
	revision, applied := st.config.Revision, true
	for _, l := range s.listeners {
		switch {
		case l.busy || l.delivered == nil || l.due() != nil:
			applied = false
		case l.reason != nil:
			c.report(s, Report{Key: s.key, Revision: revision, Reason: reasonOf(l.reason)})
			return
		}
	}
	if applied {
		c.report(s, Report{Key: s.key, Revision: revision, Applied: true})
		c.disk.saveGood(s)
	}
}

// stopListening ends a subscription, and waits for a call under way unless it
// is made from within it.
func (c *client) stopListening(l *subscription) {
	c.slots.mu.Lock()
	c.drop(l)
	c.slots.mu.Unlock()
	<-l.worker.Halt()
}

// drop takes l from its slot. mu must be held.
func (c *client) drop(l *subscription) {
	if l.stopped {
		return
	}
	l.stopped = true
	l.slot.listeners = slices.DeleteFunc(slices.Clone(l.slot.listeners), func(o *subscription) bool { return o == l })
	l.delivered = l.delivered.fixed(&c.slots.confirmedAsOf)
	l.slot.broadcast()
	c.judge(l.slot) // those who are left may all have applied
}

// waitApplied returns what became of the present value at l; see [Subscription.Wait].
// With orNothing it also returns when servers have had their time, and there is
// no snapshot either.
func (c *client) waitApplied(ctx context.Context, l *subscription, orNothing bool) error {
	ctx, end, err := c.calls.begin(ctx, 0)
	if err != nil {
		return err
	}
	defer end()
	if l.worker.Within() {
		return nil // the listener's own call, whose outcome it is
	}
	ctx, stop := c.patience(ctx, l.slot)
	defer stop()
	for {
		c.slots.mu.Lock()
		st, failed := l.slot.shown.Load(), l.slot.loadErr
		stopped, outcome := l.stopped, l.err
		nothing := orNothing && st == nil && l.waited
		settled := l.delivered != nil && !l.busy && st != nil && l.due() == nil
		changed := l.slot.next()
		c.slots.mu.Unlock()

		switch {
		case stopped:
			return Errorf(ErrClosed, "the subscription is stopped")
		case st != nil && st.err != nil:
			return st.err
		case settled:
			return outcome
		case st == nil && isPermanent(failed), nothing && failed != nil:
			return failed
		case nothing:
			return Errorf(ErrUnavailable, "%s", errTimeout.Error())
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return gaveUp(ctx, failed)
		}
	}
}
