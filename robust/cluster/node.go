package cluster

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/robust/proxy"
	"github.com/linnaname/gdiamond/server"
)

// Node is a [Member] in this process: a server that can be stopped and started again, at one address.
type Node struct {
	Network proxy.Network
	// Open returns what the node stores in, at each of its starts, and how to
	// close that after it has ended.
	Open func() (store diamond.Storage, closing func() error, err error)
	// ServerOptions and NodeOptions are further ones, at each of its starts; nil: none.
	ServerOptions func() []diamond.ServerOption
	NodeOptions   func() []server.Option
	Committed     func(diamond.Position) // is called after commits of the node's; nil: nobody asks

	log text

	mu     sync.Mutex
	addr   string         // guarded by mu; where it listens, at each of its starts
	server diamond.Server // guarded by mu; nil: it does not run
	stop   func() error   // guarded by mu; nil: it does not run
}

// Start starts the node, unless it runs. Start and Stop are not for concurrent use.
func (n *Node) Start() error {
	if n.Server() != nil {
		return nil
	}
	store, closing, err := n.Open()
	if err != nil {
		return err
	}
	options := []diamond.ServerOption{diamond.WithLogger(n.log.logger())}
	if n.ServerOptions != nil {
		options = append(options, n.ServerOptions()...)
	}
	srv, err := diamond.NewServer(store, options...)
	if err != nil {
		return errors.Join(err, closing())
	}
	if n.Committed != nil {
		srv.OnCommitted(n.Committed)
	}
	ln, err := n.Network.Listen(n.Addr())
	if err != nil {
		return errors.Join(err, srv.Close(), closing())
	}
	hosting := []server.Option{server.WithListener(ln), server.WithLogger(n.log.logger())}
	if n.NodeOptions != nil {
		hosting = append(hosting, n.NodeOptions()...)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.New(srv, hosting...).Run(ctx) }()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addr = ln.Addr().String()
	n.server = srv
	n.stop = func() error {
		stop()
		return errors.Join(<-ended, closing())
	}
	return nil
}

// Stop drains the node, if it runs, and waits for its end.
func (n *Node) Stop() error {
	n.mu.Lock()
	stop := n.stop
	n.server, n.stop = nil, nil
	n.mu.Unlock()
	if stop == nil {
		return nil
	}
	return stop()
}

// Server returns the running server; nil: the node does not run.
func (n *Node) Server() diamond.Server {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.server
}

// Log returns what the node has logged.
func (n *Node) Log() string { return n.log.String() }

// Addr returns where the node listens.
func (n *Node) Addr() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addr
}

// Dial opens a connection to the node.
func (n *Node) Dial(ctx context.Context) (net.Conn, error) {
	addr := n.Addr()
	if addr == "" {
		return nil, syscall.ECONNREFUSED
	}
	return n.Network.Dial(ctx, addr)
}
