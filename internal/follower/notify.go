package follower

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/worker"
)

// slowListener is the time after which a running call of a listener is logged.
const slowListener = 30 * time.Second

// ErrPanic is the error of a listener that panicked.
var ErrPanic = errors.New("the listener panicked")

// notifier calls listeners. The state of each listener is in its subscription at
// the slot.
type notifier struct {
	calls  *calls
	slots  *slots
	good   goodValues
	report func(s *slot, outcome conf.Report) // see [reporter.report]
	log    *slog.Logger
	// patience bounds how long a caller waits for a slot; see [loader.patience].
	patience func(ctx context.Context, s *slot) (_ context.Context, stop func())

	running map[*worker.Worker]conf.Key // guarded by the slots' mu: workers with a call under way, including stopped ones
}

// goodValues keeps the last value of each key that all listeners applied.
type goodValues interface {
	saveGood(s *slot)
	lastGood(key conf.Key) (conf.Config, bool)
}

func newNotifier(
	calls *calls, slots *slots, good goodValues, report func(*slot, conf.Report), log *slog.Logger,
	patience func(context.Context, *slot) (context.Context, func()),
) *notifier {
	return &notifier{
		calls: calls, slots: slots, good: good, report: report, log: log, patience: patience,
		running: make(map[*worker.Worker]conf.Key),
	}
}

// notify wakes the listeners of s that must be called with its state. A listener
// that has applied an equal state is not called: the new state replaces the one it
// applied. The slots' mu must be held.
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

// enter records that w begins to call a callback of a subscription to key. It
// returns false if the client is closed and the callback must not be called.
func (n *notifier) enter(w *worker.Worker, key conf.Key) bool {
	n.slots.mu.Lock()
	defer n.slots.mu.Unlock()
	if n.slots.closed.Load() {
		return false
	}
	n.running[w] = key
	return true
}

// exit records that the call of w has returned.
func (n *notifier) exit(w *worker.Worker) {
	n.slots.mu.Lock()
	defer n.slots.mu.Unlock()
	delete(n.running, w)
}

// deliveredTo returns what the listener was last called with, with its present time
// of confirmation, or false before the first call.
func (n *notifier) deliveredTo(l *subscription) (conf.Config, bool) {
	n.slots.mu.Lock()
	defer n.slots.mu.Unlock()
	if l.delivered == nil {
		return conf.Config{}, false
	}
	config, _ := l.delivered.read(&n.slots.confirmedAsOf)
	return config, true
}

// absence returns why the key of l has no value, or nil if it has one or nothing is known
// of it.
func (n *notifier) absence(l *subscription) error {
	n.slots.mu.Lock()
	defer n.slots.mu.Unlock()
	if st := l.slot.shown.Load(); st != nil {
		return st.err
	}
	return l.slot.refused
}

// deliver calls a listener with the state that is due. If it rejects its first
// value it is called with the last good snapshot too.
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
	call := func(config conf.Config) error {
		return n.call(l, config.Revision, func() error { return l.listener(ctx, config) })
	}
	err, instead := ErrPanic, false // in case the listener ends its goroutine
	defer func() { n.finish([]*subscription{l}, err, instead) }()
	if err = call(config); err == nil || !first {
		return
	}
	good, ok := n.good.lastGood(l.slot.key)
	if !ok || EqualEntries(&good.Entry, &config.Entry) || ctx.Err() != nil {
		return
	}
	n.slots.mu.Lock()
	n.reject(l, err)
	n.slots.mu.Unlock()
	if call(good) == nil {
		err, instead = nil, true
	}
}

// call calls the listener with the value of revision and turns a panic into an
// error.
func (n *notifier) call(l *subscription, revision int64, listener func() error) (err error) {
	slow := time.AfterFunc(slowListener, func() {
		n.log.Warn("a listener is taking long", "key", l.slot.key, "revision", revision, "after", slowListener)
	})
	defer slow.Stop()
	defer func() {
		if recover() != nil { // the panic value may hold content; the stack does not
			err = ErrPanic
			n.log.Error("a listener panicked", "key", l.slot.key, "revision", revision, "stack", string(debug.Stack()))
		}
	}()
	return listener()
}

// finish records the outcome of one call for all its subscriptions. instead says
// that the listener applied the last good value instead of its first one.
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

// reject records that a listener rejected a value. The slots' mu must be held.
func (n *notifier) reject(l *subscription, err error) {
	l.rejected, l.reason = l.delivered.config.Revision, err
	n.log.Warn("a listener rejected a value", "key", l.slot.key, "revision", l.rejected, "reason", reasonOf(err))
}

// reasonOf returns the reason of a rejection for servers and the log. It holds
// nothing of the error, which may hold content.
func reasonOf(err error) string {
	if errors.Is(err, ErrPanic) {
		return "panic"
	}
	return "error"
}

// conclude combines the outcomes of all listeners of s: its value is rejected if
// any listener rejected it, and good if all have applied it. The slots' mu must be
// held.
func (n *notifier) conclude(s *slot) {
	v, st := s.value, s.shown.Load()
	if v == nil || v.presence != present || st == nil || st.config.Source == conf.SourceOverride || len(s.listeners) == 0 {
		return
	}
	revision, applied := st.config.Revision, true
	for _, l := range s.listeners {
		switch {
		case l.busy || l.delivered == nil || l.due() != nil:
			applied = false
		case l.reason != nil:
			n.report(s, conf.Report{Key: s.key, Revision: revision, Reason: reasonOf(l.reason)})
			return
		}
	}
	if applied {
		n.report(s, conf.Report{Key: s.key, Revision: revision, Applied: true})
		n.good.saveGood(s)
	}
}

// stop ends a subscription. It waits for a call under way, unless it is made from
// within that call.
func (n *notifier) stop(l *subscription) {
	n.slots.mu.Lock()
	n.drop(l)
	n.slots.mu.Unlock()
	<-l.worker.Halt()
}

// drop removes l from its slot. The slots' mu must be held.
func (n *notifier) drop(l *subscription) {
	if l.stopped {
		return
	}
	l.stopped = true
	l.slot.listeners = slices.DeleteFunc(slices.Clone(l.slot.listeners), func(o *subscription) bool { return o == l })
	l.delivered = l.delivered.fixed(&n.slots.confirmedAsOf)
	l.slot.broadcast()
	n.conclude(l.slot) // all remaining listeners may have applied the value
}

// wait returns the outcome of the present value at l, see [Subscription.Wait]. With
// orNothing it also returns when the time for an answer of servers is over and
// there is no snapshot.
func (n *notifier) wait(ctx context.Context, l *subscription, orNothing bool) error {
	ctx, end, err := n.calls.begin(ctx, 0)
	if err != nil {
		return err
	}
	defer end()
	if l.worker.Within() {
		return nil // this call of the listener decides the outcome
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
			return conf.Errorf(conf.ErrClosed, "the subscription is stopped")
		case st != nil && st.err != nil:
			return st.err
		case settled:
			return outcome
		case st == nil && isFinal(failed), nothing && failed != nil:
			return failed
		case nothing:
			return conf.Errorf(conf.ErrUnavailable, "%s", errTimeout.Error())
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return gaveUp(ctx, failed)
		}
	}
}

// stopAll stops all listeners. It returns their workers and the workers with a call
// under way, each with its key. The slots' mu must be held.
func (n *notifier) stopAll() map[*worker.Worker]string {
	halting := make(map[*worker.Worker]string)
	for w, key := range n.running {
		halting[w] = key.String()
	}
	for _, s := range n.slots.byKey.All() {
		for _, l := range s.listeners {
			l.stopped = true
			halting[l.worker] = s.key.String()
		}
		s.listeners = nil
		s.broadcast()
	}
	return halting
}

// haltAll halts workers and waits until no callback is running, at most for
// timeout. It returns the names of those that are still running.
func haltAll(workers map[*worker.Worker]string, timeout time.Duration) (blocked []string) {
	ended := make(map[<-chan struct{}]string, len(workers))
	for w, name := range workers {
		ended[w.Halt()] = name
	}
	late := time.NewTimer(timeout)
	defer late.Stop()
	for end, name := range ended {
		select {
		case <-end:
			continue
		default:
		}
		select {
		case <-end:
		case <-late.C:
			late.Reset(0)
			blocked = append(blocked, name)
		}
	}
	slices.Sort(blocked)
	return blocked
}
