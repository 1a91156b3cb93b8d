package proxy

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"time"
)

// Front is a reverse proxy like those that operators use: it terminates TLS, and speaks HTTP/2
// with clients and HTTP/1.1 with the server. [NewFront] creates one.
type Front struct {
	listener net.Listener
	server   *http.Server
	behind   *http.Transport
	ended    chan struct{}
}

// NewFront returns a front with a certificate for the server that dial connects to.
func NewFront(network Network, cert tls.Certificate, dial Dial) (*Front, error) {
	ln, err := network.Listen("")
	if err != nil {
		return nil, err
	}
	f := &Front{
		listener: ln,
		behind: &http.Transport{
			DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
			DisableCompression: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second,
		},
		ended: make(chan struct{}),
	}
	silent := slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	f.server = &http.Server{
		Handler: &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.Out.URL.Scheme, r.Out.URL.Host = "http", r.In.Host
			},
			Transport: f.behind, FlushInterval: -1, ErrorLog: silent,
		},
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		ErrorLog:  silent, ReadHeaderTimeout: 10 * time.Second,
	}
	go func() {
		defer close(f.ended)
		_ = f.server.ServeTLS(ln, "", "") // it ends with Close
	}()
	return f, nil
}

// Addr returns the address of the front.
func (f *Front) Addr() string { return f.listener.Addr().String() }

// Close ends the front and its connections.
func (f *Front) Close() {
	_ = f.server.Close()
	<-f.ended
	f.behind.CloseIdleConnections()
}
