package diamond

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/linnaname/gdiamond/internal/worker"
)

// subscribers holds the callbacks that want to know of the commits of this server.
type subscribers struct {
	mu      sync.Mutex
	members []*subscriber // guarded by mu; copied on write
	closed  bool          // guarded by mu
}

// subscriber is one callback. A worker of its own calls it with the newest position.
type subscriber struct {
	newest atomic.Pointer[Position]
	worker *worker.Worker
}

// OnCommitted implements [Server].
func (s *server) OnCommitted(committed func(Position)) (stop func()) {
	t := new(subscriber)
	t.worker = worker.New(func(context.Context) { committed(*t.newest.Load()) })
	a := &s.subscribers
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.members = append(slices.Clone(a.members), t)
	}
	return func() {
		a.mu.Lock()
		a.members = slices.DeleteFunc(slices.Clone(a.members), func(o *subscriber) bool { return o == t })
		a.mu.Unlock()
		<-t.worker.Halt()
	}
}

// announce says what a transaction has committed. It does not wait.
func (a *subscribers) announce(newest Position) {
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
func (a *subscribers) close() {
	a.mu.Lock()
	members := a.members
	a.members, a.closed = nil, true
	a.mu.Unlock()
	for _, t := range members {
		<-t.worker.Halt()
	}
}
