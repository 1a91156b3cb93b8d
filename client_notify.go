package diamond

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"github.com/linnaname/gdiamond/internal/seeded"
	"github.com/linnaname/gdiamond/internal/worker"
)

const (
	slowListener = 30 * time.Second // how long a listener may take before that is logged
	closeTimeout = 10 * time.Second // for listeners, when closing
)

// errPanic is what a listener that panicked is taken to have returned.
var errPanic = errors.New("the listener panicked")

// notifier calls listeners. What each was called with, and what became of that, is in
// its subscription at the slot.
type notifier struct {
	calls  *calls
	slots  *slots
	good   goodValues
	report func(s *slot, outcome Report) // see [reporter.report]
	log    *slog.Logger
	// patience bounds how long a caller waits for a slot; see [loader.patience].
	patience func(ctx context.Context, s *slot) (_ context.Context, stop func())

	running map[*worker.Worker]Key // guarded by the slots' mu: whose callbacks are being called, stopped ones too
}

// goodValues keeps the last value of each key that all listeners applied.
type goodValues interface {
	saveGood(s *slot)
	lastGood(key Key) (Config, bool)
}

func newNotifier(
	calls *calls, slots *slots, good goodValues, report func(*slot, Report), log *slog.Logger,
	patience func(context.Context, *slot) (context.Context, func()),
) *notifier {
	return &notifier{
		calls: calls, slots: slots, good: good, report: report, log: log, patience: patience,
		running: make(map[*worker.Worker]Key),
	}
}

// notify has the listeners of s told of its state that have not been. Where the
// state equals the one that they applied, nobody is called: it takes the place
// of that one. The slots' mu must be held.
func (n *notifier) notify(s *slot) {
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
		n.conclude(s)
	}
}

// enter notes that w calls a callback that hangs on a subscription to key.
// False: it must not, as the client is closed.
func (n *notifier) enter(w *worker.Worker, key Key) bool {
	n.slots.mu.Lock()
	defer n.slots.mu.Unlock()
	if n.slots.closed.Load() {
		return false
	}
	n.running[w] = key
	return true
}

// exit notes that the call of w is over.
func (n *notifier) exit(w *worker.Worker) {
	n.slots.mu.Lock()
	defer n.slots.mu.Unlock()
	delete(n.running, w)
}

// deliveredTo returns what the listener was told last, as the client knows it now;
// false: nothing yet.
func (n *notifier) deliveredTo(l *subscription) (Config, bool) {
	n.slots.mu.Lock()
	defer n.slots.mu.Unlock()
	if l.delivered == nil {
		return Config{}, false
	}
	config, _ := l.delivered.read(&n.slots.confirmedAsOf)
	return config, true
}

// deliver tells a listener what there is to tell. A first value that it rejects
// is followed by the last good snapshot.
func (n *notifier) deliver(ctx context.Context, l *subscription) {
	n.slots.mu.Lock()
	st := l.due()
	if st == nil {
		n.slots.mu.Unlock()
		return
	}
	first := l.delivered == nil
	l.busy, l.delivered = true, st
	n.running[l.worker] = l.slot.key
	n.slots.mu.Unlock()

	config, _ := st.read(&n.slots.confirmedAsOf)
	config.Deleted = st.err != nil
	call := func(config Config) error {
		return n.call(l, config.Revision, func() error { return l.listener.OnConfig(ctx, config) })
	}
	err, instead := errPanic, false // where the listener ends its goroutine
	defer func() { n.finish([]*subscription{l}, err, instead) }()
	if err = call(config); err == nil || !first {
		return
	}
	good, ok := n.good.lastGood(l.slot.key)
	if !ok || equalEntries(&good.Entry, &config.Entry) || ctx.Err() != nil {
		return
	}
	n.slots.mu.Lock()
	n.reject(l, err)
	n.slots.mu.Unlock()
	if call(good) == nil {
		err, instead = nil, true
	}
}

// call calls the listener with the value of revision, and makes an error of a panic.
func (n *notifier) call(l *subscription, revision int64, listener func() error) (err error) {
	slow := time.AfterFunc(slowListener, func() {
		n.log.Warn("a listener is taking long", "key", l.slot.key, "revision", revision, "after", slowListener)
	})
	defer slow.Stop()
	defer func() {
		if recover() != nil { // the value may hold content, the stack does not
			err = errPanic
			if seeded.ListenerPanicKillsLoop {
				l.worker.Halt()
			}
			n.log.Error("a listener panicked", "key", l.slot.key, "revision", revision, "stack", string(debug.Stack()))
		}
	}()
	return listener()
}

// finish notes what became of the values that one call was made with; instead:
// of the last good one that it was made with in their place.
func (n *notifier) finish(parts []*subscription, err error, instead bool) {
	n.slots.mu.Lock()
	defer n.slots.mu.Unlock()
	for _, l := range parts {
		l.busy, l.err = false, err
		delete(n.running, l.worker)
		switch {
		case err != nil:
			n.reject(l, err)
		case !instead:
			l.rejected, l.reason = 0, nil
		}
		l.takeOver(l.slot.shown.Load())
		if l.due() != nil {
			l.worker.Wake()
		}
		n.conclude(l.slot)
		l.slot.broadcast()
	}
}

// reject notes that a listener refused what it was told. The slots' mu must be held.
func (n *notifier) reject(l *subscription, err error) {
	l.rejected, l.reason = l.delivered.config.Revision, err
	n.log.Warn("a listener rejected a value", "key", l.slot.key, "revision", l.rejected, "reason", reasonOf(err))
}

// reasonOf is all that a server or a log gets to know of a rejection.
func reasonOf(err error) string {
	if errors.Is(err, errPanic) {
		return "panic"
	}
	return "error"
}

// conclude sums up what the listeners of s made of its value: one that any
// rejects is rejected, one that all have applied is good. The slots' mu must be held.
func (n *notifier) conclude(s *slot) {
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
			n.report(s, Report{Key: s.key, Revision: revision, Reason: reasonOf(l.reason)})
			return
		}
	}
	if applied {
		n.report(s, Report{Key: s.key, Revision: revision, Applied: true})
		n.good.saveGood(s)
	}
}

// stop ends a subscription, and waits for a call under way unless it
// is made from within it.
func (n *notifier) stop(l *subscription) {
	n.slots.mu.Lock()
	n.drop(l)
	n.slots.mu.Unlock()
	<-l.worker.Halt()
}

// drop takes l from its slot. The slots' mu must be held.
func (n *notifier) drop(l *subscription) {
	if l.stopped {
		return
	}
	l.stopped = true
	l.slot.listeners = slices.DeleteFunc(slices.Clone(l.slot.listeners), func(o *subscription) bool { return o == l })
	l.delivered = l.delivered.fixed(&n.slots.confirmedAsOf)
	l.slot.broadcast()
	n.conclude(l.slot) // those who are left may all have applied
}

// wait returns what became of the present value at l; see [Subscription.Wait].
// With orNothing it also returns when servers have had their time, and there is
// no snapshot either.
func (n *notifier) wait(ctx context.Context, l *subscription, orNothing bool) error {
	ctx, end, err := n.calls.begin(ctx, 0)
	if err != nil {
		return err
	}
	defer end()
	if l.worker.Within() {
		return nil // the listener's own call, whose outcome it is
	}
	ctx, stop := n.patience(ctx, l.slot)
	defer stop()
	for {
		n.slots.mu.Lock()
		st, failed := l.slot.shown.Load(), l.slot.loadErr
		stopped, outcome := l.stopped, l.err
		nothing := orNothing && st == nil && l.waited
		settled := l.delivered != nil && !l.busy && st != nil && l.due() == nil
		changed := l.slot.next()
		n.slots.mu.Unlock()

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

// stopAll stops all listeners for good, and returns the workers of those that may be
// running. The slots' mu must be held.
func (n *notifier) stopAll() map[*worker.Worker]Key {
	halting := maps.Clone(n.running)
	for _, s := range n.slots.byKey.All() {
		for _, l := range s.listeners {
			l.stopped = true
			halting[l.worker] = s.key
		}
		s.listeners = nil
		s.broadcast()
	}
	return halting
}

// haltAll returns when no callback is running, or when that takes too long:
// then with the keys of those that are.
func haltAll(workers map[*worker.Worker]Key) (blocked []string) {
	ended := make(map[<-chan struct{}]Key, len(workers))
	for w, key := range workers {
		ended[w.Halt()] = key
	}
	late := time.NewTimer(closeTimeout)
	defer late.Stop()
	for end, key := range ended {
		select {
		case <-end:
			continue
		default:
		}
		select {
		case <-end:
		case <-late.C:
			late.Reset(0)
			blocked = append(blocked, key.String())
		}
	}
	slices.Sort(blocked)
	return blocked
}
