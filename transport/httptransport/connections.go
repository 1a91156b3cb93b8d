package httptransport

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// These find a dead connection that neither end has closed: something between them may
// have dropped it, and the kernel keeps it for many minutes. Requests that do not wait for
// long have their own time limits.
const (
	// pingAfter is the time without traffic after which an HTTP/2 connection is pinged.
	pingAfter = 15 * time.Second
	// pingTimeout is the time limit for the answer to a ping.
	pingTimeout = 5 * time.Second
	// suspectAfter is the age from which a request that does not wait makes the transport
	// give up its connection too, if its caller gives up before there is an answer.
	suspectAfter = 300 * time.Millisecond
)

// connections is a round tripper that can give up all its connections together,
// including those with requests under way, on which HTTP/2 puts later requests.
type connections struct {
	given *http.Transport // the caller's, which is not closed; or nil
	now   atomic.Pointer[http.Transport]

	source func() *tls.Config         // or nil
	config atomic.Pointer[tls.Config] // the last one of source
}

// newConnections returns the connections of given, the caller's transport, or of a new
// one if given is nil.
func newConnections(given *http.Transport, config *tls.Config) *connections {
	c := &connections{given: given}
	if given == nil {
		given = newHTTPTransport(config)
	}
	c.now.Store(given)
	return c
}

// RoundTrip implements [http.RoundTripper].
func (c *connections) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.source != nil {
		c.renew()
	}
	return c.now.Load().RoundTrip(r)
}

// follow makes c use the TLS configuration that source returns from time to time.
func (c *connections) follow(source func() *tls.Config) {
	c.source = source
	c.renew()
}

// renew makes later requests use new connections if the TLS configuration has changed.
// Requests under way continue.
func (c *connections) renew() {
	now, before := c.source(), c.config.Load()
	if now == before || !c.config.CompareAndSwap(before, now) {
		return
	}
	for {
		old := c.now.Load()
		next := old.Clone()
		next.TLSClientConfig = now.Clone() // net/http changes it
		if c.now.CompareAndSwap(old, next) {
			c.closeIdle(old)
			return
		}
	}
}

// inUse returns the transport that a request uses now, or nil if c is nil.
func (c *connections) inUse() *http.Transport {
	if c == nil {
		return nil
	}
	return c.now.Load()
}

// giveUp makes later requests use new connections instead of those of lost. Lost was in
// use when a request was made that got no answer, and what broke its connection has
// probably broken the others too. Requests under way continue until they are answered or
// lost. On nil it does nothing.
func (c *connections) giveUp(lost *http.Transport) {
	if c != nil && c.now.CompareAndSwap(lost, lost.Clone()) {
		c.closeIdle(lost)
	}
}

// closeIdle closes the idle connections of t, unless t is the caller's. On nil it
// does nothing.
func (c *connections) closeIdle(t *http.Transport) {
	if c != nil && t != c.given {
		t.CloseIdleConnections()
	}
}

func newHTTPTransport(config *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:        config.Clone(), // net/http changes it, and several transports may share one
		TLSHandshakeTimeout:    dialTimeout,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		DisableCompression:     true,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        idleConnTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		ExpectContinueTimeout:  time.Second,
	}
}
