package httptransport

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// docs/limits.md says what these must be below and above.
const (
	// answerTimeout is how long a server may be silent unless [WithTimeout] says.
	answerTimeout = 5 * time.Second
	// dialTimeout is how long a connection may take to be made.
	dialTimeout = 2 * time.Second
	// idleConnTimeout is how long an idle connection is kept: less than servers keep it.
	idleConnTimeout = 90 * time.Second
	// maxAnswer is how many bytes of content an answer may have unless [WithMaxAnswer] says.
	maxAnswer = 64 << 20
)

// Option changes a default of [New].
type Option func(*Transport)

// WithTLS sets the TLS configuration of https addresses.
func WithTLS(config *tls.Config) Option {
	return func(t *Transport) { t.tls = config }
}

// WithHTTPClient has the transport use client, which many may share; [WithTLS]
// has no effect then, and Close leaves it alone. Its Timeout must be zero, or
// it would end waits. Redirects are not followed whatever it says.
//
// When the server was silent the transport goes on with a copy of the client's
// [http.Transport]: the same settings, and new connections. From another round
// tripper, dead connections are used for as long as that keeps them. Over HTTP/2 it should send
// pings (SendPingTimeout of [http.HTTP2Config]), as the transport does by default.
func WithHTTPClient(client *http.Client) Option {
	return func(t *Transport) { t.given = client }
}

// WithTimeout sets for how long the server may be silent, beyond the wait it
// was asked for, before it is taken to be lost; by default 5 s.
func WithTimeout(d time.Duration) Option {
	return func(t *Transport) { t.timeout = d }
}

// WithMaxAnswer sets how many bytes of content one answer may have; by
// default 64 MiB. It must be above the server's limit of one content.
func WithMaxAnswer(bytes int64) Option {
	return func(t *Transport) { t.maxAnswer = bytes }
}

var _ diamond.Transport = (*Transport)(nil)

// Transport is the client end: a [diamond.Transport] to one server. It is
// safe for concurrent use.
//
// It never retries and never follows a redirect; transport.Balance chooses
// among servers. What a server says is checked: lengths, digests, that an
// answer is to the key that was asked for. An answer that is damaged, or not
// of a server of this kind, is ErrUnavailable, and never "not found".
type Transport struct {
	base        url.URL
	invalid     error        // of the address
	given       *http.Client // the caller's; nil: none
	http        http.Client
	connections *connections // that http uses; nil: it uses another round tripper
	tls         *tls.Config
	timeout     time.Duration
	maxAnswer   int64
	info        atomic.Pointer[infoValue]
}

// New returns the client end for the server at addr: "host:port", or a URL of
// scheme http or https, with a path if the server is mounted under one. It
// does not connect; a bad address fails the calls, with ErrInvalid.
func New(addr string, opts ...Option) *Transport {
	t := &Transport{timeout: answerTimeout, maxAnswer: maxAnswer}
	for _, opt := range opts {
		opt(t)
	}
	t.base, t.invalid = parseAddr(addr)
	t.useConnections()
	t.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return t
}

// useConnections has t.http use connections that can be given up, unless the
// caller has given a round tripper of which that is not known.
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
	t.http.Transport = t.connections
}

// Dial is [New] with its defaults, in the form that transport.Balance takes.
func Dial(addr string) (diamond.Transport, error) {
	t := New(addr)
	return t, t.invalid
}

func parseAddr(addr string) (url.URL, error) {
	raw := addr
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil ||
		(u.Scheme != "http" && u.Scheme != "https") {
		return url.URL{}, diamond.Errorf(diamond.ErrInvalid, "address %q is neither host:port nor an http URL", httpserve.Clip(addr))
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.RawPath = ""
	return *u, nil
}

// Close gives up the idle connections that the transport made. Calls under
// way go on; so do later ones, with new connections.
func (t *Transport) Close() {
	t.connections.closeIdle(t.connections.inUse())
}
