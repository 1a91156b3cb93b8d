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

// Node is a [Member] in this process: a server that can be stopped and restarted at the same
// address.
type Node struct {
	Network proxy.Network
	// Open returns the node's storage at each start, and a function that closes it after
	// the node has ended.
	Open func() (store diamond.Storage, closing func() error, err error)
	// ServerOptions and NodeOptions return additional options at each start. They may be
	// nil.
	ServerOptions func() []diamond.ServerOption
	NodeOptions   func() []server.Option
	// Wrap returns the server that the node serves in the place of the one that it makes at a
	// start. Closing it closes that one. It may be nil.
	Wrap      func(diamond.Server) (diamond.Server, error)
	Committed func(diamond.Position) // called after commits of the node; may be nil

	log text

	mu     sync.Mutex
	addr   string         // guarded by mu; the same at each start
	server diamond.Server // guarded by mu; nil if the node does not run
	stop   func() error   // guarded by mu; nil if the node does not run
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
	if n.Wrap != nil {
		wrapped, err := n.Wrap(srv)
		if err != nil {
			return errors.Join(err, srv.Close(), closing())
		}
		srv = wrapped
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
	go func() { ended <- server.NewNode(srv, hosting...).Run(ctx) }()
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

// Server returns the running server, or nil if the node does not run.
func (n *Node) Server() diamond.Server {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.server
}

// Log returns the log of the node.
func (n *Node) Log() string { return n.log.String() }

// Addr returns the address of the node.
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
