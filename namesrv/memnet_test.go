package namesrv

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memNet is a network of HTTP servers in memory, so that time in it can be
// that of a synctest bubble.
type memNet struct {
	mu    sync.Mutex
	hosts map[string]*memHost
}

// memHost is an address: it has a server, or accepts and stays mute.
type memHost struct {
	conns chan net.Conn
	done  chan struct{}
	close func()
	mute  bool
}

func newMemNet() *memNet { return &memNet{hosts: map[string]*memHost{}} }

// serve starts handler at addr, in place of what was there. A nil one is mute.
func (n *memNet) serve(t *testing.T, addr string, handler http.Handler) {
	n.kill(addr)
	h := &memHost{conns: make(chan net.Conn), done: make(chan struct{}), mute: handler == nil}
	srv := &http.Server{Handler: handler}
	if handler != nil {
		go srv.Serve(h)
	}
	h.close = sync.OnceFunc(func() {
		close(h.done)
		srv.Close()
	})
	t.Cleanup(h.close)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[addr] = h
}

// kill has connections to addr refused.
func (n *memNet) kill(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.hosts[addr]; h != nil {
		h.close()
	}
	delete(n.hosts, addr)
}

// dead reports whether addr is dead or mute.
func (n *memNet) dead(addr string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hosts[addr] == nil || n.hosts[addr].mute
}

func (n *memNet) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	h := n.hosts[addr]
	n.mu.Unlock()
	if h == nil {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	if h.mute {
		return ours, nil
	}
	select {
	case h.conns <- local127{theirs}:
		return ours, nil
	case <-h.done:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// client returns a client over the network.
func (n *memNet) client(t *testing.T, urls []string, opts ...ClientOption) *Client {
	t.Helper()
	http := &http.Client{Transport: &http.Transport{DialContext: n.dial, DisableKeepAlives: true}}
	c, err := NewClient(urls, append([]ClientOption{WithHTTPClient(http)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (h *memHost) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}
func (h *memHost) Close() error   { return nil }
func (h *memHost) Addr() net.Addr { return &net.TCPAddr{} }

// local127 is a connection from this machine.
type local127 struct{ net.Conn }

func (local127) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4321}
}
