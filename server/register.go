package server

import (
	"context"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

// Registry holds the addresses of servers for clients. namesrv.NewClient makes one.
// One for Consul or DNS takes ten lines.
type Registry interface {
	// Register holds a lease for addr, a host:port or, of a server that speaks TLS, an https
	// URL with host and port, until ctx ends, then gives it back and returns nil. While the registry cannot be reached it keeps trying. It
	// returns an error if it cannot hold the lease; the node then calls it again.
	Register(ctx context.Context, addr string) error
}

// unregisterTimeout is the longest time that a shutdown waits for registries that do not
// answer.
const unregisterTimeout = time.Second

// readyInterval is the interval at which a node checks whether it is ready to be
// registered.
const readyInterval = 50 * time.Millisecond

// register keeps the node registered under addr until unregister is called, which waits
// for at most unregisterTimeout. If the registry is down, only the registration is
// missing.
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
