package server

import (
	"context"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

// Registry tells clients where servers are. namesrv.NewClient makes one; one
// for Consul or DNS takes ten lines.
type Registry interface {
	// Register holds a lease for addr, a host:port, until ctx ends, then gives it
	// back and returns nil. It outlasts a registry that cannot be reached. An
	// error says that the lease could not be held; the node tries again.
	Register(ctx context.Context, addr string) error
}

// unregisterTimeout is how long a shutdown waits for registries that do not answer.
const unregisterTimeout = time.Second

// readyInterval is how often a node looks whether it is ready to be registered.
const readyInterval = 50 * time.Millisecond

// register keeps the node registered under addr while it is up, and returns
// what unregisters it, which waits a while for that to be done. A registry
// that is down costs nothing but the registration.
func (n *Node) register(addr string) (unregister func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.holdLease(ctx, addr)
	}()
	return sync.OnceFunc(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(unregisterTimeout):
			n.config.logger.Warn("registry did not take the address back in time", "address", addr)
		}
	})
}

func (n *Node) holdLease(ctx context.Context, addr string) {
	for !n.srv.Status().Ready {
		if backoff.Sleep(ctx, readyInterval) != nil {
			return
		}
	}
	var pause backoff.Backoff
	for {
		err := n.config.registry.Register(ctx, addr)
		if ctx.Err() != nil {
			return
		}
		n.config.logger.Warn("registration lost", "address", addr, "error", err)
		if pause.Wait(ctx, 0) != nil {
			return
		}
	}
}
