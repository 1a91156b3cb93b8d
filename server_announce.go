package diamond

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/linnaname/gdiamond/internal/worker"
)

// audience are those who want to know of the server's own commits.
type audience struct {
	mu      sync.Mutex
	members []*told // guarded by mu; copied on write
	closed  bool    // guarded by mu
}

// told is one of them: it is called by a worker of its own, with the newest only.
type told struct {
	newest atomic.Pointer[Position]
	worker *worker.Worker
}

// OnCommitted implements [Server].
func (s *server) OnCommitted(committed func(Position)) (stop func()) {
	t := new(told)
	t.worker = worker.New(func(context.Context) { committed(*t.newest.Load()) })
	a := &s.audience
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.members = append(slices.Clone(a.members), t)
	}
	return func() {
		a.mu.Lock()
		a.members = slices.DeleteFunc(slices.Clone(a.members), func(o *told) bool { return o == t })
		a.mu.Unlock()
		<-t.worker.Halt()
	}
}

// announce says what a transaction has committed. It does not wait.
func (a *audience) announce(newest Position) {
	if newest.IsZero() {
		return
	}
	a.mu.Lock()
	members := a.members
	a.mu.Unlock()
	for _, t := range members {
		t.newest.Store(&newest)
		t.worker.Wake()
	}
}

// close ends all calls, and waits for those under way.
func (a *audience) close() {
	a.mu.Lock()
	members := a.members
	a.members, a.closed = nil, true
	a.mu.Unlock()
	for _, t := range members {
		<-t.worker.Halt()
	}
}
