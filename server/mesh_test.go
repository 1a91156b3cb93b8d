package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/internal/memnet"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// mesh is a network of nodes on one store, and the list of them.
type mesh struct {
	t     *testing.T
	store *memstore.Store
	mu    sync.Mutex
	at    map[string]*addressed // guarded by mu
	list  []string              // guarded by mu
	err   error                 // guarded by mu
}

// addressed is a listener at one address.
type addressed struct {
	*memnet.Listener
	addr  string
	local bool // connections come from this machine
	mute  bool // nobody accepts, nor refuses
}

func (a *addressed) Addr() net.Addr {
	addr, _ := net.ResolveTCPAddr("tcp", a.addr)
	return addr
}

func (a *addressed) Accept() (net.Conn, error) {
	conn, err := a.Listener.Accept()
	if a.local && err == nil {
		conn = localConn{conn}
	}
	return conn, err
}

type localConn struct{ net.Conn }

func (localConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4321} }

func newMesh(t *testing.T, addrs ...string) *mesh {
	m := &mesh{t: t, store: memstore.New(), at: map[string]*addressed{}, list: addrs}
	t.Cleanup(func() { require.NoError(t, m.store.Close()) })
	return m
}

// Resolve implements server.Resolver.
func (m *mesh) Resolve(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.list), m.err
}

func (m *mesh) set(err error, addrs ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list, m.err = addrs, err
}

// place puts a listener at an address.
func (m *mesh) place(addr string, a *addressed) *addressed {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at[addr] = a
	return a
}

func (m *mesh) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	m.mu.Lock()
	a := m.at[addr]
	m.mu.Unlock()
	switch {
	case a == nil:
		return nil, errors.New("connection refused")
	case a.mute:
		conn, _ := net.Pipe()
		return conn, nil
	}
	return a.DialContext(ctx, network, addr)
}

// member is a node of a mesh.
type member struct {
	*running
	wire *wire
}

// run runs a node at addr.
func (m *mesh) run(addr, secret string, srvOpts []diamond.ServerOption, opts ...server.Option) *member {
	m.t.Helper()
	srv, err := diamond.NewServer(m.store, srvOpts...)
	require.NoError(m.t, err)
	place := m.place(addr, &addressed{Listener: memnet.Listen(), addr: addr, local: strings.HasPrefix(addr, "127.")})
	known := cluster.Secret{}
	if secret != "" {
		known, err = cluster.NewSecret(secret)
		require.NoError(m.t, err)
	}
	w := &wire{inner: &http.Transport{DialContext: m.dial}}
	ctx, stop := context.WithCancel(m.t.Context())
	r := &running{t: m.t, srv: srv, listener: place.Listener, stop: stop, ended: make(chan error, 1)}
	r.client = &http.Client{Transport: &http.Transport{DialContext: r.listener.DialContext}}
	node := server.NewNode(srv, append([]server.Option{
		server.WithListener(place), server.WithPeers(m, known), server.WithPeerClient(&http.Client{Transport: w}),
	}, opts...)...)
	go func() { r.ended <- node.Run(ctx) }()
	m.t.Cleanup(func() {
		stop()
		r.client.CloseIdleConnections()
		if err, ok := <-r.ended; ok {
			require.NoError(m.t, err)
		}
		w.inner.CloseIdleConnections()
	})
	return &member{r, w}
}

// wire is what a node's nudges go through. It can lose, repeat and delay them.
type wire struct {
	inner  *http.Transport
	mu     sync.Mutex
	lose   bool      // guarded by mu
	delay  bool      // guarded by mu: as if lost, but they are kept
	copies int       // guarded by mu: how many more times each is sent
	seen   []capture // guarded by mu
}

// capture is a request as it was on the wire.
type capture struct {
	req  *http.Request
	body []byte
}

func (c capture) send(w *wire) (int, error) {
	req := c.req.Clone(context.Background())
	req.Body = io.NopCloser(bytes.NewReader(c.body))
	res, err := w.inner.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

func (w *wire) set(change func(w *wire)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

func (w *wire) captured() []capture {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	c := capture{req, body}
	w.mu.Lock()
	lose, delay, copies := w.lose, w.delay, w.copies
	w.seen = append(w.seen, c)
	w.mu.Unlock()
	if lose || delay {
		return nil, errors.New("lost")
	}
	again := req.Clone(req.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	res, err := w.inner.RoundTrip(again)
	for range copies {
		_, _ = c.send(w)
	}
	return res, err
}
