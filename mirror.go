package diamond

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/linnaname/gdiamond/internal/worker"
)

// Mirror is a live copy of the entries that a [Filter] selects. It is safe for
// concurrent use. [Follow] makes one.
type Mirror struct {
	client Client
	filter Filter
	log    *slog.Logger
	stop   context.CancelFunc
	ended  chan struct{} // closed when run has returned

	mu        sync.Mutex
	entries   *entrySet                // guarded by mu
	err       error                    // guarded by mu
	logged    bool                     // guarded by mu: the log has err
	closed    bool                     // guarded by mu
	callbacks map[*updateCallback]bool // guarded by mu
	watchers  map[*errorCallback]bool  // guarded by mu
}

// Load returns all entries and the position as of which they are complete. A key that
// does not exist is missing. Source is SourceServer, and Confirmed the time when the
// entry arrived. The map and what is in it are shared and must not be changed.
//
// While nothing changes that the filter selects, the position may be up to 30 s older
// than that of the servers, but the entries are not older for that. Load takes a lock for
// a moment. It does not wait for servers or callbacks. The map is that of this moment:
// the first change after a Load copies it, so a program that reads one key should not
// call Load between all changes of a large group.
func (m *Mirror) Load() (map[Key]Config, Position) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries.shared = true
	return m.entries.configs, m.entries.at
}

// OnChange calls changed with all present entries as one Update, and then with one
// Update for each change set that concerns the filter, in order, each once, until stop
// is called. So a callback that applies each Update has a state that Load had, or will
// have in a moment.
//
// Each callback has a goroutine of its own, and none delays another one. If more than
// 1,000 changes or 64 MiB of contents wait for a callback, they are merged into one
// Update: a slow callback misses intermediate values, but no key. A panic is recovered
// and logged; the callback is not called with that Update again. stop waits for a call
// under way, unless it is called from within it. There are no calls after Close. Closing
// the client ends the calls too, but does not wait for one under way.
func (m *Mirror) OnChange(changed func(Update)) (stop func()) {
	cb := &updateCallback{}
	cb.worker = worker.New(func(context.Context) { m.deliver(cb, changed) })
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return func() {}
	}
	m.callbacks[cb] = true
	cb.add(m.entries.whole())
	return func() {
		m.mu.Lock()
		delete(m.callbacks, cb)
		m.mu.Unlock()
		<-cb.worker.Halt()
	}
}

// updateCallback is a callback of [Mirror.OnChange].
type updateCallback struct {
	worker *worker.Worker
	deltas deltas // guarded by the Mirror's mu
}

func (cb *updateCallback) add(d *delta) {
	cb.deltas.push(d)
	cb.worker.Wake()
}

// deliver calls changed with the next Update.
func (m *Mirror) deliver(cb *updateCallback, changed func(Update)) {
	m.mu.Lock()
	d := cb.deltas.pop()
	m.mu.Unlock()
	if d == nil {
		return
	}
	cb.worker.Wake() // for those after it
	if d.size() > 0 || d.whole {
		defer worker.LogPanic(m.log)
		changed(d.update())
	}
}

// Err returns why the Mirror may be older than the servers' state, or nil: no server
// answers (ErrUnavailable, ErrOverloaded or ErrBehind), the filter selects more than a
// Mirror holds (ErrTooLarge), servers refuse the filter (ErrDenied or ErrInvalid) or the
// client's proof of identity (ErrUnauthenticated) or have another store (ErrOtherStore), or the client was closed (ErrClosed). The last state
// stays, and unless the client was closed the Mirror tries on.
func (m *Mirror) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// OnError calls told with the error that [Mirror.Err] returns, if there is one, and then
// with each new one, until stop is called. It is not called when an error is over; Err
// is nil then. It is not called again while the error is of the same kind, nor after the
// client was closed. Calls are like those of [Mirror.OnChange], but a slow callback misses
// what a newer error has replaced.
func (m *Mirror) OnError(told func(err error)) (stop func()) {
	cb := &errorCallback{}
	cb.worker = worker.New(func(context.Context) {
		m.mu.Lock()
		err := cb.due
		cb.due = nil
		m.mu.Unlock()
		if err != nil {
			defer worker.LogPanic(m.log)
			told(err)
		}
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return func() {}
	}
	m.watchers[cb] = true
	if m.err != nil {
		cb.tell(m.err)
	}
	return func() {
		m.mu.Lock()
		delete(m.watchers, cb)
		m.mu.Unlock()
		<-cb.worker.Halt()
	}
}

// errorCallback is a callback of [Mirror.OnError].
type errorCallback struct {
	worker *worker.Worker
	due    error // guarded by the Mirror's mu
}

func (cb *errorCallback) tell(err error) {
	cb.due = err
	cb.worker.Wake()
}

// Close ends the Mirror. It waits for callbacks under way, unless it is called from one.
// The last state stays. A second Close only waits.
func (m *Mirror) Close() {
	m.stop()
	for _, halted := range m.end(nil) {
		<-halted
	}
	<-m.ended
}

// end halts all callbacks. It returns a channel for each that is closed once no call is
// running, or none if it is called from a callback: two that wait for each other would
// never end. If err is not nil, Err returns it.
func (m *Mirror) end(err error) (halted []<-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	if err != nil {
		m.err = err
	}
	within := false
	halt := func(w *worker.Worker) {
		within = within || w.Within()
		halted = append(halted, w.Halt())
	}
	for cb := range m.callbacks {
		halt(cb.worker)
	}
	for cb := range m.watchers {
		halt(cb.worker)
	}
	if within {
		return nil
	}
	return halted
}

// advance applies an answer of the watch, and tells the callbacks. Only run calls it.
func (m *Mirror) advance(resp *ChangesResponse) error {
	var fresh *entrySet
	if len(resp.Changes) > 0 {
		fresh = m.copied()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if fresh != nil {
		m.entries = fresh
	}
	ds, err := m.entries.advance(resp)
	if err != nil {
		return err
	}
	m.recovered()
	m.tell(ds...)
	return nil
}

// copied returns a copy of the entries if they were given away, or nil. It makes the copy
// without the lock: Load must not wait for it.
func (m *Mirror) copied() *entrySet {
	m.mu.Lock()
	fresh := *m.entries
	m.mu.Unlock()
	if !fresh.shared {
		return nil
	}
	fresh.own()
	return &fresh
}

// replace makes entries the state, and tells the callbacks the difference.
func (m *Mirror) replace(entries *entrySet) {
	d := entries.since(m.entries) // without the lock: only run replaces m.entries
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = entries
	m.recovered()
	m.tell(d)
}

// tell tells the callbacks what has changed. mu must be held.
func (m *Mirror) tell(ds ...*delta) {
	for _, d := range ds {
		if d.size() == 0 {
			continue
		}
		for cb := range m.callbacks {
			cb.add(d)
		}
	}
}

// recovered records that the state is the newest one. mu must be held.
func (m *Mirror) recovered() {
	if m.err = nil; m.logged {
		m.log.Info("a mirror is up to date again", "filter", m.filter)
		m.logged = false
	}
}

// fail records why the state may be old. logged says that the log has the reason already.
func (m *Mirror) fail(err error, logged bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	again := m.err != nil && reasonOf(m.err) == reasonOf(err)
	if m.err = err; again {
		return
	}
	if !logged {
		m.log.Warn("a mirror is not up to date; its last state stays", "filter", m.filter, "error", err)
		m.logged = true
	}
	for cb := range m.watchers {
		cb.tell(err)
	}
}

// reasonOf returns the sentinel that says why a Mirror may be old, or nil if err does
// not say so.
func reasonOf(err error) error {
	for _, transient := range []error{ErrUnavailable, ErrOverloaded, ErrBehind} {
		if errors.Is(err, transient) {
			return ErrUnavailable
		}
	}
	for _, sentinel := range []error{ErrOtherStore, ErrDenied, ErrUnauthenticated, ErrTooLarge, ErrInvalid, ErrCorrupt} {
		if errors.Is(err, sentinel) {
			return sentinel
		}
	}
	return nil
}
