package httptransport

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// How a connection is found to be dead that nobody has ended: what is between
// may have forgotten it, and the kernel keeps it for many minutes. Questions
// that wait for less are watched each on its own.
const (
	// pingAfter is how long an HTTP/2 connection with nothing to hear is left alone.
	pingAfter = 15 * time.Second
	// pingTimeout is how long the answer to a ping may take.
	pingTimeout = 5 * time.Second
	// suspectAfter is how long a question that does not wait has been without any
	// answer when its caller gives it up for its connection to be given up too.
	suspectAfter = 300 * time.Millisecond
)

// connections is a round tripper whose connections can be given up all together:
// those with requests under way too, as HTTP/2 puts later requests on them.
type connections struct {
	given *http.Transport // the caller's, which is left alone; nil: none
	now   atomic.Pointer[http.Transport]
}

// newConnections returns the connections of given, those of the caller's, or
// where that is nil, of one of its own.
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
	return c.now.Load().RoundTrip(r)
}

// inUse returns what a request that is made now uses; nil: c is nil.
func (c *connections) inUse() *http.Transport {
	if c == nil {
		return nil
	}
	return c.now.Load()
}

// giveUp has later requests use other connections than those of lost, which was
// in use when one was made that has had no answer: what has lost its connection
// has lost the others too. Requests under way go on, until they have an answer
// or are found to be lost too. On nil it does nothing.
func (c *connections) giveUp(lost *http.Transport) {
	if c != nil && c.now.CompareAndSwap(lost, lost.Clone()) {
		c.closeIdle(lost)
	}
}

// closeIdle closes the idle connections of t, unless it is the caller's. On nil
// it does nothing.
func (c *connections) closeIdle(t *http.Transport) {
	if c != nil && t != c.given {
		t.CloseIdleConnections()
	}
}

func newHTTPTransport(config *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:        config.Clone(), // net/http changes it, and several transports may be given one
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
