package follower

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/worker"
)

// health records what keeps a client from its work. It logs when a problem begins and
// ends, and calls the callbacks of onError when one begins. So callbacks are told what
// the log has.
type health struct {
	log                              *slog.Logger
	noAnswer, historyLost, diskFails *problem

	mu        sync.Mutex
	closed    bool                    // guarded by mu
	callbacks map[*errorCallback]bool // guarded by mu
}

// problem is something that keeps a client from its work.
type problem struct {
	begins, ends string // log messages

	failing int       // guarded by health's mu: operations that fail because of it
	told    []error   // guarded by health's mu: one of each kind since it began
	toldAt  time.Time // guarded by health's mu: when the last of them was told
	newest  error     // guarded by health's mu: why it is present, or nil if it is not
}

// kinds are the errors that are told although the problem is present already with
// another error: servers that were away may come back with another store.
var kinds = []error{conf.ErrOtherStore, conf.ErrDenied, conf.ErrUnauthenticated}

// errorCallback is one callback of onError.
type errorCallback struct {
	worker *worker.Worker
	due    []occurrence // guarded by health's mu: in order, the newest of each problem
}

type occurrence struct {
	problem *problem
	err     error
}

func newHealth(log *slog.Logger) *health {
	return &health{
		log: log,
		noAnswer: &problem{
			begins: "no server gives a usable answer; values stay as they are",
			ends:   "servers answer again",
		},
		historyLost: &problem{begins: "new epoch: the store has lost history; keys that it lost keep their last value"},
		diskFails: &problem{
			begins: "snapshots cannot be written; trying on",
			ends:   "snapshots are written again",
		},
		callbacks: make(map[*errorCallback]bool),
	}
}

// report records that p is present because of err, and that failing more operations
// fail because of it. Without any, p is over at once. If the operation that reports it
// has succeeded since p was told, p begins again: other operations may fail for a reason
// of their own, such as polls for too many keys, while a watch is well until servers are
// away.
func (h *health) report(p *problem, failing int, succeeded time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p.failing += failing
	if p.failing > 0 {
		p.newest = err
	}
	if succeeded.After(p.toldAt) {
		p.told = nil
	}
	if slices.ContainsFunc(p.told, func(e error) bool { return sameKind(e, err) }) {
		return
	}
	if p.failing > 0 {
		p.told = append(p.told, err)
	}
	p.toldAt = time.Now()
	h.log.Warn(p.begins, "error", err)
	for cb := range h.callbacks {
		cb.add(p, err)
	}
}

func sameKind(a, b error) bool {
	return !slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(a, kind) != errors.Is(b, kind) })
}

// end records that one operation no longer fails because of p: it has succeeded, or
// else it was given up.
func (h *health) end(p *problem, succeeded bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.failing--; p.failing > 0 {
		return
	}
	p.told, p.newest = nil, nil
	if succeeded {
		h.log.Info(p.ends)
	}
}

// onError calls told with each problem, as diamond.Client describes.
func (h *health) onError(told func(error)) (stop func()) {
	cb := &errorCallback{}
	cb.worker = worker.New(func(context.Context) { h.call(cb, told) })
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return func() {}
	}
	h.callbacks[cb] = true
	for _, p := range []*problem{h.noAnswer, h.diskFails} {
		if p.newest != nil {
			cb.add(p, p.newest)
		}
	}
	return func() {
		h.mu.Lock()
		delete(h.callbacks, cb)
		h.mu.Unlock()
		<-cb.worker.Halt()
	}
}

// add has the callback called with err, in the place of an earlier error of p that it
// has not been called with yet. health's mu must be held.
func (cb *errorCallback) add(p *problem, err error) {
	cb.due = append(slices.DeleteFunc(cb.due, func(o occurrence) bool { return o.problem == p }), occurrence{p, err})
	cb.worker.Wake()
}

// call calls a callback with the next error that is due, and recovers its panic.
func (h *health) call(cb *errorCallback, told func(error)) {
	h.mu.Lock()
	if len(cb.due) == 0 {
		h.mu.Unlock()
		return
	}
	next := cb.due[0]
	if cb.due = cb.due[1:]; len(cb.due) > 0 {
		cb.worker.Wake()
	}
	h.mu.Unlock()
	defer worker.LogPanic(h.log)
	told(next.err)
}

// close ends all callbacks. It returns their workers, with a name for each.
func (h *health) close() map[*worker.Worker]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	halting := make(map[*worker.Worker]string, len(h.callbacks))
	for cb := range h.callbacks {
		halting[cb.worker] = "OnError"
	}
	clear(h.callbacks)
	return halting
}
