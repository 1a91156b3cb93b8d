package server

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// DefaultAddress is the address on which a node listens by default. Only this host can
// reach it, because there is no authentication.
const DefaultAddress = "127.0.0.1:1210"

// Option changes a default of [NewNode].
type Option func(*config)

type config struct {
	address       string
	listener      net.Listener
	tls           *tls.Config // of the listener for clients; nil without TLS
	advertise     string
	registry      Registry
	peers         Resolver
	secret        cluster.Secret
	peerHTTP      *http.Client
	peerListener  *peerListener // nil if nudges come in with all other requests
	metrics       *prometheus.Registry
	logger        *slog.Logger
	shutdownDelay time.Duration
	admission     *rates // nil to admit all requests
	addressConns  int
	pagesListener net.Listener // nil if the pages are only where clients are served
	proxies       []netip.Prefix
	external      *string // the URL; nil if none is given
	checks        []check
	transport     []httptransport.HandlerOption
	routes        []route
}

// rates are the arguments of [WithAdmission].
type rates struct{ perSecond, burst int }

// check is an argument of [WithCheck].
type check struct {
	name string
	look func() (ok bool, text string)
}

type route struct {
	pattern string
	handler http.Handler
}

// WithAddress sets the TCP address to listen on. The default is [DefaultAddress].
func WithAddress(address string) Option {
	return func(c *config) { c.address = address }
}

// WithListener makes the node serve on listener, instead of listening on an address
// itself. The node closes listener.
func WithListener(listener net.Listener) Option {
	return func(c *config) { c.listener = listener }
}

// WithTLS makes the node speak TLS on the listener for clients, with HTTP/2 and HTTP/1.1, and
// register itself as a server that does. It answers plain HTTP there with status 400. The
// node's pages have no TLS on the listener of [WithPagesListener]. Package tlsfile has
// configurations whose files may be replaced while the node runs.
//
// The names of a client certificate prove who sends a request, if tlsConfig has it verified
// (VerifyClientCertIfGiven, RequireAndVerifyClientCert) and rights are decided. On connections
// that are open, the node checks for each request that the certificate has not expired, and
// that its authority is still in the ClientCAs that tlsConfig has then: it calls
// GetConfigForClient for that, with the name of the server and the connection. It also calls it
// for the metric of the expiry, with a connection of nobody. A request with a
// certificate that is not valid any more fails with ErrUnauthenticated (401), and its
// connection ends. In the last two minutes before the expiry, connections end after each answer.
//
// Connections above the limits are closed without an answer. [Node.Run] returns ErrInvalid if
// tlsConfig has no certificate. The node copies tlsConfig.
func WithTLS(tlsConfig *tls.Config) Option {
	return func(c *config) { c.tls = tlsConfig }
}

// WithRegistry makes the node register itself once it is ready. Advertise is the address
// that clients should use. If it is empty, the node registers the address that it listens
// on, which must then name a host. If registry implements [RegistryStatus], the node
// reports where it is registered.
func WithRegistry(registry Registry, advertise string) Option {
	return func(c *config) { c.registry, c.advertise = registry, advertise }
}

// WithPeers makes the node nudge the other servers of its cluster after each commit of
// its server, so that they see the commit at once, and accept their nudges. The node asks
// peers for the list of servers every few seconds. After an empty or failed answer it
// keeps the last good list. All servers must know secret. With the zero Secret a node can
// nudge only servers on the same machine. If a nudge is lost, late or refused, the other
// server sees the commit at its next feed interval. Nudges never delay a commit.
func WithPeers(peers Resolver, secret cluster.Secret) Option {
	return func(c *config) { c.peers, c.secret = peers, secret }
}

// WithPeerClient sets the client that nudges peers, such as one that has a certificate.
// Redirects are never followed. Over HTTP/2 the client should send pings
// (SendPingTimeout of [http.HTTP2Config]), because otherwise it uses a dead connection
// until the kernel drops it. The default is a client over HTTP/1.1 that keeps one
// connection to each peer. Each nudge has a time limit of one second.
func WithPeerClient(client *http.Client) Option {
	return func(c *config) { c.peerHTTP = client }
}

// WithPeerListener makes the node receive nudges on listener instead of the listener for
// clients. It serves nothing else there, and closes listener. A peer must show a
// certificate of one of the authorities in tlsConfig.ClientCAs, which must issue
// certificates only to peers. It must also know the secret, if [WithPeers] has one. The
// node requires TLS 1.3, whatever tlsConfig says. [cluster.Certificates] has a
// configuration whose files may be replaced while the node runs, and a client's transport
// for it.
//
// All servers of a cluster must have such a listener, on the same port: the node nudges a
// peer at the host that [WithPeers] finds and the port of listener. Without [WithTLS] it uses
// an https URL as it is. [WithPeerClient] must be given, with a certificate.
//
// [Node.Run] returns ErrInvalid if one of these is missing.
func WithPeerListener(listener net.Listener, tlsConfig *tls.Config) Option {
	return func(c *config) { c.peerListener = &peerListener{listener, tlsConfig} }
}

// WithMetrics makes the node register its metrics on reg while it runs, and serve
// everything that reg gathers at /metrics. The default registry also has the metrics
// of the Go runtime and of the process.
func WithMetrics(reg *prometheus.Registry) Option {
	return func(c *config) { c.metrics = reg }
}

// WithPagesListener makes the node serve its own pages (/metrics, /readyz, /livez, /healthz,
// /version and /v1/cluster) on listener too, and nothing else there. Whoever can reach listener
// needs no right to see them: on the listener for clients, /metrics, /readyz?verbose and
// /v1/cluster of a governed store need one. The node closes listener.
func WithPagesListener(listener net.Listener) Option {
	return func(c *config) { c.pagesListener = listener }
}

// WithCheck adds a line to /readyz?verbose: name, and the text that look returns, marked as
// failed unless ok. It does not make the node unready. Look is called for each such request,
// and must be fast and safe for concurrent use.
func WithCheck(name string, look func() (ok bool, text string)) Option {
	return func(c *config) { c.checks = append(c.checks, check{name, look}) }
}

// WithLogger sets the logger. By default nothing is logged. Requests that succeed are
// logged at debug level, refused ones at info, and failures of the server at warn. No
// record contains the content of a configuration.
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) { c.logger = logger }
}

// WithShutdownDelay sets the time for which a node that is shutting down continues to
// serve after it has become unready and has unregistered. The default is 0. Set it to the
// time that load balancers take to notice.
func WithShutdownDelay(d time.Duration) Option {
	return func(c *config) { c.shutdownDelay = d }
}

// WithTransport sets options of the handler of the protocols, such as the host names that
// it allows. The node sets the logger, the observer and the admission. Options that are
// given here replace these.
func WithTransport(opts ...httptransport.HandlerOption) Option {
	return func(c *config) { c.transport = append(c.transport, opts...) }
}

// WithAdmission makes the node admit perSecond requests a second, and burst at once after
// a pause. It refuses further ones with ErrOverloaded and a Retry-After of 1 to 3 s, which
// the clients of this library obey. By default it admits all requests. It always admits
// reports of clients, nudges of peers and requests for its own pages.
//
// Set it if the servers have so many clients that they cannot serve all at once:
// after a restart of all servers each client sends a few requests within seconds.
// [Node.Run] returns ErrInvalid if one of the numbers is below 1.
func WithAdmission(perSecond, burst int) Option {
	return func(c *config) { c.admission = &rates{perSecond, burst} }
}

// WithAddressConnections sets the maximum number of connections from one address. The
// default is [DefaultAddressConnections]. An address never gets more than it leaves for
// the others: at most half of the connections that the process's limit of open files
// allows. Of the connections above the limit, a few at a time get one answer, which is
// ErrOverloaded (429) or one of the node's own pages. The others are closed.
//
// Raise it if many clients share one address, such as that of a proxy. [Node.Run] returns
// ErrInvalid if it is below 1.
func WithAddressConnections(n int) Option {
	return func(c *config) { c.addressConns = n }
}

// WithTrustedProxies makes the node take the address of a client from the X-Forwarded-For header
// of requests that come from one of these networks. It reads the header from the right, past
// addresses of the networks, because a client can write into it what it likes and each proxy
// appends what it sees. The address counts for rights, limits of requests, the log and the
// record of changes; limits of connections count those of a proxy as its own. The node reads
// no other such header, and without this option not that one either.
func WithTrustedProxies(networks ...netip.Prefix) Option {
	return func(c *config) { c.proxies = append(c.proxies, networks...) }
}

// WithExternalURL sets the http or https URL by which people and programs call the node through
// a proxy, such as "https://conf.example". Its host is an allowed one: see
// [httptransport.WithAllowedHosts]. [Node.Run] returns ErrInvalid if it is not such a URL.
func WithExternalURL(externalURL string) Option {
	return func(c *config) { c.external = &externalURL }
}

// WithHandler makes the node serve handler for an [http.ServeMux] pattern. The pattern
// takes precedence over the paths of the protocols, but not over the node's own. A
// malformed pattern panics, as it does in an http.ServeMux.
func WithHandler(pattern string, handler http.Handler) Option {
	return func(c *config) { c.routes = append(c.routes, route{pattern, handler}) }
}
