package httptransport_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

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
