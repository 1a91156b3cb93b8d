package httptransport

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// docs/limits.md lists the limits that must be above and below these.
const (
	// answerTimeout is the default of [WithTimeout].
	answerTimeout = 5 * time.Second
	// dialTimeout is the time limit for making a connection.
	dialTimeout = 2 * time.Second
	// idleConnTimeout is the time for which an idle connection is kept. Servers keep it for
	// longer, so that they do not close it when a request is on its way.
	idleConnTimeout = 90 * time.Second
	// maxAnswer is the default of [WithMaxAnswer].
	maxAnswer = 64 << 20
)

// Option changes a default of [New].
type Option func(*Transport)

// WithTLS sets the TLS configuration of https addresses.
func WithTLS(config *tls.Config) Option {
	return func(t *Transport) { t.tls = config }
}

// WithTLSSource is [WithTLS] with a configuration that may be replaced while the program runs.
// The transport calls source for each request, so it must be quick and safe for concurrent use.
// It returns the same configuration until that changes, and a new one then, for new connections:
// the transport gives up its connections, so that nothing goes on over one of a certificate or
// an authority of before. Config of tlsfile.Client is such a function.
func WithTLSSource(source func() *tls.Config) Option {
	return func(t *Transport) { t.tlsSource = source }
}

// WithHTTPClient makes the transport use client, which several transports may share.
// It cannot be given together with [WithTLS], and Close does not close client's
// connections. Its Timeout must be zero, or it would end waits. Redirects are never
// followed.
//
// After the server was silent, the transport uses a copy of the client's
// [http.Transport], with the same settings and new connections. With another round
// tripper, it uses dead connections until that drops them. Over HTTP/2 the
// client should send pings (SendPingTimeout of [http.HTTP2Config]), as the transport
// does by default.
func WithHTTPClient(client *http.Client) Option {
	return func(t *Transport) { t.given = client }
}

// WithTimeout sets the longest time that the server may be silent, beyond the wait of the
// request, before the transport considers the request lost. The default is 5 s.
func WithTimeout(d time.Duration) Option {
	return func(t *Transport) { t.timeout = d }
}

// WithMaxAnswer sets the maximum number of bytes of content in one answer. The default is
// 64 MiB. It must be above the server's limit of one content.
func WithMaxAnswer(bytes int64) Option {
	return func(t *Transport) { t.maxAnswer = bytes }
}

var _ diamond.Transport = (*Transport)(nil)

// Transport is the client end: a [diamond.Transport] to one server. It is
// safe for concurrent use.
//
// It never retries and never follows a redirect; transport.NewBalancer chooses among
// servers. It checks the lengths, the digests and the keys of answers. An answer that is
// damaged, or not of a diamond server, is ErrUnavailable, and never "not found".
type Transport struct {
	base        url.URL
	given       *http.Client // the caller's, or nil
	http        http.Client
	connections *connections // of http, or nil if it has another round tripper
	tls         *tls.Config
	tlsSource   func() *tls.Config // or nil
	timeout     time.Duration
	maxAnswer   int64
	tokens      []*tokenSource // at most one
	tokenLog    *slog.Logger
	info        atomic.Pointer[infoValue]
}

// New returns the client end for the server at addr: "host", "host:port", or a URL of
// scheme http or https, with a path if the server is mounted under one. The port of an
// address without a scheme is 1210 unless it is given. A URL without a port has that of
// its scheme. New does not connect.
//
// The error is ErrInvalid if addr is not such an address, if [WithTLS] and
// [WithHTTPClient] are both given, or if a token is given that cannot be one.
func New(addr string, opts ...Option) (*Transport, error) {
	base, err := parseAddr(addr)
	if err != nil {
		return nil, err
	}
	t := &Transport{base: base, timeout: answerTimeout, maxAnswer: maxAnswer, tokenLog: slog.New(slog.DiscardHandler)}
	for _, opt := range opts {
		opt(t)
	}
	if t.timeout <= 0 || t.maxAnswer <= 0 {
		return nil, conf.Errorf(conf.ErrInvalid, "options: a time-out of %v and answers of %d bytes; both must be above 0", t.timeout, t.maxAnswer)
	}
	if t.tls != nil && t.tlsSource != nil {
		return nil, conf.Errorf(conf.ErrInvalid, "options: WithTLS and WithTLSSource exclude each other")
	}
	if (t.tls != nil || t.tlsSource != nil) && t.given != nil {
		return nil, conf.Errorf(conf.ErrInvalid, "options: WithTLS has no effect on the client of WithHTTPClient; set the TLS configuration of its round tripper")
	}
	if len(t.tokens) > 1 {
		return nil, conf.Errorf(conf.ErrInvalid, "options: more than one token is given")
	}
	for _, source := range t.tokens {
		if err := source.check(t.tokenLog); err != nil {
			return nil, err
		}
		source.warnPlain(&t.base, t.tokenLog)
	}
	t.useConnections()
	t.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return t, nil
}

// Dialer returns a function that calls [New] with opts, for transport.NewBalancer.
func Dialer(opts ...Option) func(addr string) (diamond.Transport, error) {
	return func(addr string) (diamond.Transport, error) {
		t, err := New(addr, opts...)
		if err != nil {
			return nil, err // not a nil *Transport in an interface
		}
		return t, nil
	}
}

// useConnections makes t.http use connections that can be given up, unless the caller's
// round tripper is not an [http.Transport].
func (t *Transport) useConnections() {
	var given *http.Transport
	if t.given != nil {
		t.http = *t.given
		used := t.http.Transport
		if used == nil {
			used = http.DefaultTransport
		}
		var ok bool
		if given, ok = used.(*http.Transport); !ok {
			return
		}
	}
	t.connections = newConnections(given, t.tls)
	if t.tlsSource != nil {
		t.connections.follow(t.tlsSource)
	}
	t.http.Transport = t.connections
}

// Close closes the idle connections that the transport made. Calls under way go on,
// and later calls make new connections.
func (t *Transport) Close() {
	t.connections.closeIdle(t.connections.inUse())
}
