package namesrv

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/conf"
)

const (
	// callTimeout is the time that one name server has for an answer.
	callTimeout = 2 * time.Second
	// maxAnswer is the largest answer in bytes: a full list with some room.
	maxAnswer = 4 << 20
)

// Client finds servers through name servers, and registers servers with them. It is safe for
// concurrent use and needs no closing.
type Client struct {
	sources   []*source
	http      *http.Client
	tls       *tls.Config // or nil
	lease     time.Duration
	logger    *slog.Logger
	secret    cluster.Secret
	tlsSource func() *tls.Config // or nil
	onlyTLS   bool
	cache     cache

	mu      sync.Mutex // guards the fields below, and the sources
	started int64      // number of requests for lists
	plain   int        // servers without TLS that the last Resolve left out
}

// source is one name server. Client.mu guards all fields except base and signer.
type source struct {
	base   *url.URL
	signer *cluster.Signer

	met  string        // the last known instance, or "" if there is none
	anew chan struct{} // closed and replaced when the name server has restarted

	instance string   // of the last good list; "" in the text form
	version  int64    // of the last good list
	asked    int64    // the number of the request for that list
	servers  []string // the last good list

	holds               int   // leases that the client wants there
	told                bool  // a registration was tried since holds is above 0
	askFails, holdFails error // the last errors of a request for a list, and of a registration
}

type clientOption func(*Client)

func (o clientOption) applyClient(c *Client) { o(c) }

// WithHTTPClient sets the HTTP client, for example one with special certificates. Redirects
// are never followed. Over HTTP/2 the client should send pings (SendPingTimeout of
// [http.HTTP2Config]); otherwise it uses a dead connection for as long as the kernel keeps
// it. By default each request uses a new connection, because there are few requests.
func WithHTTPClient(client *http.Client) ClientOption {
	return clientOption(func(c *Client) { c.http = client })
}

// WithTLS sets the TLS configuration for https name servers, which the client copies.
// Together with [WithHTTPClient], which has its own, it is ErrInvalid.
func WithTLS(config *tls.Config) ClientOption {
	return clientOption(func(c *Client) { c.tls = config })
}

// WithTLSSource is [WithTLS] with a configuration that may be replaced while the program runs:
// each new connection uses what source returns then. It must be safe for concurrent use. Config
// of tlsfile.Client is such a function. It excludes WithTLS and [WithHTTPClient].
func WithTLSSource(source func() *tls.Config) ClientOption {
	return clientOption(func(c *Client) { c.tlsSource = source })
}

// WithOnlyTLS makes [Client.Resolve] leave out the servers that do not speak TLS, and log how
// many these are. A client of servers that expects TLS needs it: otherwise who can change a list
// can make it send its token, and take its values, in the clear.
func WithOnlyTLS() ClientOption {
	return clientOption(func(c *Client) { c.onlyTLS = true })
}

// WithLease sets the time for which a registration is valid without being renewed, from
// [MinLease] to [MaxLease]. The default is [DefaultLease]. The client renews a lease after a
// third of its time.
func WithLease(d time.Duration) ClientOption {
	return clientOption(func(c *Client) { c.lease = d })
}

// WithCacheFile makes the client keep the last good list in the file at path, so that it
// knows servers while no name server can be reached. It creates the file's directory if
// necessary.
func WithCacheFile(path string) ClientOption {
	return clientOption(func(c *Client) { c.cache.path = path })
}

// NewClient returns a client of the name servers at urls, such as "http://10.0.0.1:8080" or
// "https://names.example/diamond". The default scheme is http, and without a scheme the
// default port is 8080. NewClient does not connect. Errors wrap ErrInvalid.
func NewClient(urls []string, opts ...ClientOption) (*Client, error) {
	c := &Client{
		lease:  DefaultLease,
		logger: slog.New(slog.DiscardHandler),
	}
	for _, opt := range opts {
		opt.applyClient(c)
	}
	switch {
	case c.tls != nil && c.tlsSource != nil:
		return nil, conf.Errorf(conf.ErrInvalid, "options: WithTLS and WithTLSSource exclude each other")
	case c.http == nil:
		c.http = &http.Client{Transport: c.transport()}
	case c.tls != nil || c.tlsSource != nil:
		return nil, conf.Errorf(conf.ErrInvalid, "options: WithTLS has no effect on the client of WithHTTPClient; set the TLS configuration of its round tripper")
	}
	if c.lease < MinLease || c.lease > MaxLease {
		return nil, conf.Errorf(conf.ErrInvalid, "lease: %v is not between %v and %v", c.lease, MinLease, MaxLease)
	}
	for _, s := range urls {
		base, err := parseURL(s)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(c.sources, func(s *source) bool { return *s.base == *base }) {
			c.sources = append(c.sources, &source{base: base, signer: cluster.NewSigner(c.secret, base), anew: make(chan struct{})})
		}
	}
	if len(c.sources) == 0 {
		return nil, conf.Errorf(conf.ErrInvalid, "name servers: none given")
	}
	own := *c.http
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &own
	c.cache.open(c.logger)
	return c, nil
}

// transport returns that of the client for which no other one is given.
func (c *Client) transport() *http.Transport {
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10, TLSClientConfig: c.tls.Clone(),
	}
	if c.tlsSource != nil {
		t.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialer := tls.Dialer{Config: c.tlsSource()}
			return dialer.DialContext(ctx, network, addr)
		}
	}
	return t
}

func parseURL(s string) (*url.URL, error) {
	full := s
	if !strings.Contains(s, "://") {
		full = "http://" + s
	}
	u, err := url.Parse(full)
	switch {
	case err != nil || u.Hostname() == "":
		return nil, conf.Errorf(conf.ErrInvalid, "name server %+.200q: is not a URL", s)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, conf.Errorf(conf.ErrInvalid, "name server %+.200q: the scheme is neither http nor https", s)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, conf.Errorf(conf.ErrInvalid, "name server %s: has more than scheme, host, port and path", u.Redacted())
	}
	if full != s && u.Port() == "" {
		u.Host = strings.TrimSuffix(u.Host, ":") + ":" + namesrvPort
	}
	return u, nil
}

// call makes one request and returns the body of a good answer and its media type.
func (c *Client) call(ctx context.Context, s *source, method string, u *url.URL) (body []byte, mediaType string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, "", err
	}
	do := c.http.Do
	if method != http.MethodGet { // lists are public
		do = func(req *http.Request) (*http.Response, error) { return s.signer.Do(c.http, req) }
	}
	resp, err := do(req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // callers name the URL
		}
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, "", err
	case resp.StatusCode == http.StatusNotFound:
		return nil, "", errNotFound
	case resp.StatusCode == http.StatusForbidden:
		return nil, "", conf.Errorf(conf.ErrDenied, "status 403%s", messageOf(body))
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent:
		return nil, "", fmt.Errorf("status %d%s", resp.StatusCode, messageOf(body))
	case len(body) > maxAnswer:
		return nil, "", fmt.Errorf("an answer of more than %d bytes", maxAnswer)
	}
	mediaType, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return body, mediaType, nil
}

var errNotFound = errors.New("status 404")

// meet records the instance of the name server. If the name server has restarted, it has no
// leases, so meet wakes those who hold one. Client.mu is held.
func (s *source) meet(instance string) {
	if instance == "" || instance == s.met {
		return
	}
	if s.met != "" {
		close(s.anew)
		s.anew = make(chan struct{})
	}
	s.met = instance
}

// report logs when a name server starts to fail and when it recovers, and when it starts to
// refuse requests, which does not pass by itself. c.mu is held.
func (c *Client) report(s *source, last *error, err error) {
	switch {
	case err != nil && (*last == nil || errors.Is(err, conf.ErrDenied) && !errors.Is(*last, conf.ErrDenied)):
		c.logger.Warn("name server fails", "url", s.base.String(), "error", err)
	case err == nil && *last != nil:
		c.logger.Info("name server is well again", "url", s.base.String())
	}
	*last = err
}
