package server

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// DefaultAddress is where a node listens by default: on this host alone, as there is
// no authentication.
const DefaultAddress = "127.0.0.1:1210"

// Option changes a default of [NewNode].
type Option func(*config)

type config struct {
	address       string
	listener      net.Listener
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
	transport     []httptransport.HandlerOption
	routes        []route
}

// rates are the arguments of [WithAdmission].
type rates struct{ perSecond, burst int }

type route struct {
	pattern string
	handler http.Handler
}

// WithAddress sets the TCP address to listen on; by default [DefaultAddress].
func WithAddress(address string) Option {
	return func(c *config) { c.address = address }
}

// WithListener has the node serve on listener, which it closes, instead of
// listening on an address itself.
func WithListener(listener net.Listener) Option {
	return func(c *config) { c.listener = listener }
}

// WithRegistry has the node register itself once it is ready, under the
// address that clients are to use. An empty advertise stands for the address
// that it listens on, which must then name a host. A registry that implements
// [RegistryStatus] reports where the node is registered.
func WithRegistry(registry Registry, advertise string) Option {
	return func(c *config) { c.registry, c.advertise = registry, advertise }
}

// WithPeers has the node nudge the other servers of its cluster after each of
// its server's commits, so that they see it at once, and accept their nudges. The
// node asks peers every few seconds where the servers are; after an empty or failed
// answer it keeps the last good list. All servers must know secret. With the zero
// Secret only servers on the same machine can be nudged. If a nudge is lost, late or
// refused, the other server sees the commit at its next feed interval. Nudges never
// delay a commit.
func WithPeers(peers Resolver, secret cluster.Secret) Option {
	return func(c *config) { c.peers, c.secret = peers, secret }
}

// WithPeerClient sets the client that nudges peers, such as one with certificates of
// its own. Redirects are never followed. Over HTTP/2 it should send pings
// (SendPingTimeout of [http.HTTP2Config]), or it uses a dead connection for as long
// as the kernel keeps it. By default it is a client over HTTP/1.1 that keeps one
// connection to each peer and gives it a second.
func WithPeerClient(client *http.Client) Option {
	return func(c *config) { c.peerHTTP = client }
}

// WithPeerListener has the node take nudges on listener, which it closes, instead
// of where clients come in, and serve nothing else there. A peer must show a
// certificate of one of the authorities in tlsConfig.ClientCAs, which must issue
// certificates to peers alone. It must also know the secret, if [WithPeers] has one.
// TLS is 1.3, whatever tlsConfig says. [cluster.Certificates] has a configuration
// whose files may be replaced while the node runs, and a client's transport for it.
//
// All servers of a cluster have such a listener, at the same port: the node nudges a
// peer at the host that [WithPeers] finds and the port of listener. It uses an https
// URL as it is. [WithPeerClient] must be given, with a certificate to show.
//
// [Node.Run] returns ErrInvalid if one of these is missing.
func WithPeerListener(listener net.Listener, tlsConfig *tls.Config) Option {
	return func(c *config) { c.peerListener = &peerListener{listener, tlsConfig} }
}

// WithMetrics has the node register its metrics on reg while it runs, and serve
// everything that reg gathers at /metrics. The default registry also has the metrics
// of the Go runtime and of the process.
func WithMetrics(reg *prometheus.Registry) Option {
	return func(c *config) { c.metrics = reg }
}

// WithLogger sets where log records go; by default nowhere. Requests that
// succeed are logged at debug, refused ones at info, failures of the server at
// warn. No record ever holds a content.
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) { c.logger = logger }
}

// WithShutdownDelay sets how long a node that is shutting down continues to serve
// after it has become unready and has unregistered; by default 0. Set it to the time
// that load balancers take to notice.
func WithShutdownDelay(d time.Duration) Option {
	return func(c *config) { c.shutdownDelay = d }
}

// WithTransport sets options of the handler that speaks the protocols, such as
// the host names that it answers to. The node sets the logger and the observer;
// options given here replace these.
func WithTransport(opts ...httptransport.HandlerOption) Option {
	return func(c *config) { c.transport = append(c.transport, opts...) }
}

// WithAdmission has the node admit perSecond requests a second, and burst at once
// after a rest. It refuses more with ErrOverloaded and a Retry-After of 1 to 3 s,
// which the clients of this library heed. By default it admits all requests. It
// always admits reports of clients, nudges of peers and requests for its own pages.
//
// Set it if the servers have so many clients that they cannot serve all at once:
// after a restart of all servers each client sends a few requests within seconds.
// [Node.Run] returns ErrInvalid if one is below 1.
func WithAdmission(perSecond, burst int) Option {
	return func(c *config) { c.admission = &rates{perSecond, burst} }
}

// WithAddressConnections sets how many connections one address may have; by default
// [DefaultAddressConnections]. An address never gets more than are left for the
// others: at most half of all that the process's limit of open files allows. A few
// connections above the limit at a time get one answer, which is ErrOverloaded (429)
// or one of the node's own pages. The others are closed.
//
// Set it higher if many clients come from one address, that of a proxy.
// [Node.Run] returns ErrInvalid if it is below 1.
func WithAddressConnections(n int) Option {
	return func(c *config) { c.addressConns = n }
}

// WithHandler has the node serve handler for an [http.ServeMux] pattern, before
// the paths of the protocols but after the node's own. A malformed pattern
// panics, as it does there.
func WithHandler(pattern string, handler http.Handler) Option {
	return func(c *config) { c.routes = append(c.routes, route{pattern, handler}) }
}
