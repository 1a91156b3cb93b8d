package proxy

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
)

// Network is a network on which servers listen and are reached.
type Network interface {
	// Listen listens on an address, or on a free one if addr is "".
	Listen(addr string) (net.Listener, error)
	// Dial opens a connection to an address.
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// Loopback is the real network of this host.
type Loopback struct{}

// Host returns an address of this host that only this process uses, if the system has many. A
// listener on it can be closed and opened again without another process taking its port.
func Host() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	pid := os.Getpid()
	return net.IPv4(127, byte(64+pid>>16), byte(pid>>8), byte(pid)).String()
}

// Listen implements [Network].
func (Loopback) Listen(addr string) (net.Listener, error) {
	if addr == "" {
		addr = net.JoinHostPort(Host(), "0")
	}
	return new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
}

// Dial implements [Network].
func (Loopback) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", addr)
}

// Memory is a network in memory, for synctest bubbles.
type Memory struct {
	mu        sync.Mutex
	listeners map[string]*pipes // guarded by mu
	last      int               // guarded by mu
}

// NewMemory returns an empty network.
func NewMemory() *Memory { return &Memory{listeners: make(map[string]*pipes)} }

// Listen implements [Network].
func (m *Memory) Listen(addr string) (net.Listener, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if addr == "" {
		m.last++
		addr = fmt.Sprintf("127.0.0.1:%d", 10000+m.last)
	}
	if m.listeners[addr] != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, syscall.EADDRINUSE)
	}
	p := &pipes{network: m, addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
	m.listeners[addr] = p
	return p, nil
}

// Dial implements [Network].
func (m *Memory) Dial(ctx context.Context, addr string) (net.Conn, error) {
	m.mu.Lock()
	p := m.listeners[addr]
	m.mu.Unlock()
	if p == nil {
		return nil, fmt.Errorf("dial %s: %w", addr, syscall.ECONNREFUSED)
	}
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.closed:
		return nil, fmt.Errorf("dial %s: %w", addr, syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pipes is a listener in memory.
type pipes struct {
	network *Memory
	addr    string
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

// Accept implements [net.Listener].
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (p *pipes) Close() error {
	p.once.Do(func() {
		close(p.closed)
		p.network.mu.Lock()
		defer p.network.mu.Unlock()
		delete(p.network.listeners, p.addr)
	})
	return nil
}

// Addr implements [net.Listener].
func (p *pipes) Addr() net.Addr {
	addr, err := net.ResolveTCPAddr("tcp", p.addr)
	if err != nil {
		return &net.TCPAddr{}
	}
	return addr
}
