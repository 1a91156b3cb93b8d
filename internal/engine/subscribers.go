package engine

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/worker"
)

// subscribers holds the callbacks of [Server].OnCommitted.
type subscribers struct {
	mu      sync.Mutex
	members []*subscriber // guarded by mu; copied on write
	closed  bool          // guarded by mu
}

// subscriber is one callback. It has its own worker, which calls it with the newest
// position, so that a slow callback delays neither commits nor other callbacks.
type subscriber struct {
	newest atomic.Pointer[conf.Position]
	worker *worker.Worker
}

// add registers committed to be called after each transaction with the position of its newest
// change, until stop is called; see [Server].OnCommitted.
func (s *subscribers) add(committed func(conf.Position)) (stop func()) {
	one := new(subscriber)
	one.worker = worker.New(func(context.Context) { committed(*one.newest.Load()) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.members = append(slices.Clone(s.members), one)
	}
	return func() {
		s.mu.Lock()
		s.members = slices.DeleteFunc(slices.Clone(s.members), func(o *subscriber) bool { return o == one })
		s.mu.Unlock()
		<-one.worker.Halt()
	}
}

// announce passes the newest position of a transaction to all subscribers, unless it is
// zero. It does not wait. A subscriber that is busy gets only the newest of all positions.
func (s *subscribers) announce(newest conf.Position) {
	if newest.IsZero() {
		return
	}
	s.mu.Lock()
	members := s.members
	s.mu.Unlock()
	for _, one := range members {
		one.newest.Store(&newest)
		one.worker.Wake()
	}
}

// close prevents further calls, and waits for those under way.
func (s *subscribers) close() {
	s.mu.Lock()
	members := s.members
	s.members, s.closed = nil, true
	s.mu.Unlock()
	for _, one := range members {
		<-one.worker.Halt()
	}
}
