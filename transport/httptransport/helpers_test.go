package httptransport_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

const maxContent = 1 << 20

// How long something may take to come about, and how often it is looked at.
const (
	patience = time.Minute
	tick     = time.Millisecond
)

// centre is a server with its handler.
type centre struct {
	t   *testing.T
	srv diamond.Server
	h   http.Handler
	ctx context.Context
}

func newCentre(t *testing.T, opts ...httptransport.HandlerOption) *centre {
	t.Helper()
	store := memstore.New()
	srv, err := diamond.NewServer(store, diamond.WithMaxContent(maxContent))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, srv.Close())
		require.NoError(t, store.Close())
	})
	opts = append([]httptransport.HandlerOption{httptransport.WithMaxContent(maxContent)}, opts...)
	return &centre{t, srv, httptransport.NewHandler(srv, opts...), t.Context()}
}

func (c *centre) publish(key diamond.Key, content string) diamond.Position {
	c.t.Helper()
	res, err := c.srv.Commit(c.ctx, &diamond.CommitRequest{Set: diamond.ChangeSet{
		Drafts: []diamond.Draft{{Key: key, Content: content, AllowEmpty: true}},
	}})
	require.NoError(c.t, err)
	return res.Position
}

func (c *centre) fetch(key diamond.Key) *diamond.FetchResponse {
	c.t.Helper()
	res, err := c.srv.Fetch(c.ctx, &diamond.FetchRequest{Key: key})
	require.NoError(c.t, err)
	return res
}

// listen serves the handler on a loopback port and returns its address.
func (c *centre) listen() string {
	hs := httptest.NewServer(c.h)
	c.t.Cleanup(hs.Close)
	return hs.Listener.Addr().String()
}

// ask sends one request to the handler, without a network.
func (c *centre) ask(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	return ask(c.h, method, target, body, headers...)
}

func ask(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1"+target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// exchange sends raw bytes and returns the answer, whose connection it closes.
func exchange(t *testing.T, addr, raw string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(2*time.Minute)))
	_, _ = io.WriteString(conn, raw) // it may be answered, and the connection closed, before all of it was sent
	return answer(t, bufio.NewReader(conn))
}

func answer(t *testing.T, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res, string(body)
}

// parked waits until n polls are parked.
func (c *centre) parked(n int) {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return c.srv.Status().Waiters == n }, patience, tick)
}

// pipes is a network of its own, so that time can be that of a bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) Dial() (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// client returns an http.Client whose every address is p.
func (p *pipes) client() (*http.Client, *http.Transport) {
	t := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return p.Dial() }}
	return &http.Client{Transport: t}, t
}

// serve serves h on p until the end of the test.
func (p *pipes) serve(t *testing.T, h http.Handler) { p.serveOn(t, &http.Server{Handler: h}) }

// serveOn is serve with a server's settings.
func (p *pipes) serveOn(t *testing.T, hs *http.Server) {
	hs.ReadHeaderTimeout, hs.IdleTimeout = 10*time.Second, time.Minute
	done := make(chan error, 1)
	go func() { done <- hs.Serve(p) }()
	t.Cleanup(func() {
		_ = hs.Close()
		<-done
	})
}

func key(dataID string) diamond.Key { return diamond.NewKey("", dataID) }
