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

// DefaultAddress is where a node listens unless told otherwise: on this host
// alone, as nothing asks who publishes.
const DefaultAddress = "127.0.0.1:1210"

// Option changes a default of [New].
type Option func(*config)

type config struct {
	address       string
	listener      net.Listener
	advertise     string
	registry      Registry
	peers         Resolver
	secret        cluster.Secret
	peerHTTP      *http.Client
	peerListener  *peerListener // nil: nudges come in with all else
	metrics       *prometheus.Registry
	logger        *slog.Logger
	shutdownDelay time.Duration
	admission     *rates // nil: all come in
	addressConns  int
	transport     []httptransport.HandlerOption
	routes        []route
}

// rates are those of [WithAdmission].
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
// that it listens on, which must then name a host. Where that worked is told by a
// registry that is a [RegistryStatus].
func WithRegistry(registry Registry, advertise string) Option {
	return func(c *config) { c.registry, c.advertise = registry, advertise }
}

// WithPeers has the node nudge the other servers of its cluster after each of
// its server's commits, so that they see it at once, and take nudges from them.
// Where they are it asks peers every few seconds; an empty or failed answer keeps
// the last good list. All of them must know secret; with the zero Secret only
// those on the same machine can be nudged. A nudge that is lost, late or
// refused costs what is left of the other server's feed interval, and never holds
// up a commit.
func WithPeers(peers Resolver, secret cluster.Secret) Option {
	return func(c *config) { c.peers, c.secret = peers, secret }
}

// WithPeerClient sets what peers are nudged with, such as a client with
// certificates of its own. Redirects are never followed. Over HTTP/2 it should
// send pings (SendPingTimeout of [http.HTTP2Config]), or a connection that is
// dead is used for as long as the kernel keeps it. By default it is one that
// lets a peer have a connection and a second, over HTTP/1.1.
func WithPeerClient(client *http.Client) Option {
	return func(c *config) { c.peerHTTP = client }
}

// WithPeerListener has the node take nudges on listener, which it closes, instead
// of where clients come in, and serve nothing else there. A peer must show a
// certificate that one of the authorities in tlsConfig.ClientCAs has issued, which
// must issue those of peers alone. It must know the secret too, where
// [WithPeers] has one. TLS is 1.3, whatever tlsConfig has. [cluster.Certificates]
// have a configuration whose files may be replaced while the node runs, and a
// client's transport for it.
//
// All servers of a cluster have such a listener, at the same port: of an address
// that [WithPeers] finds the host counts, and the port is listener's. One that
// is an https URL counts as it is. [WithPeerClient] must be given, with a certificate to
// show.
//
// [Node.Run] returns ErrInvalid when one of these is missing.
func WithPeerListener(listener net.Listener, tlsConfig *tls.Config) Option {
	return func(c *config) { c.peerListener = &peerListener{listener, tlsConfig} }
}

// WithMetrics has the node register its metrics on reg while it runs, and serve
// at /metrics what reg gathers. By default it uses a registry of its own, which
// has the metrics of the Go runtime and of the process too.
func WithMetrics(reg *prometheus.Registry) Option {
	return func(c *config) { c.metrics = reg }
}

// WithLogger sets where log records go; by default nowhere. Requests that
// succeed are logged at debug, refused ones at info, failures of the server at
// warn. No record ever holds a content.
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) { c.logger = logger }
}

// WithShutdownDelay sets for how long a node that is shutting down serves on as
// ever after it has become unready and has unregistered; by default 0. Set it
// to what load balancers take to notice.
func WithShutdownDelay(d time.Duration) Option {
	return func(c *config) { c.shutdownDelay = d }
}

// WithTransport sets options of the handler that speaks the protocols, such as
// the host names that it answers to. The node sets its logger and observer
// itself; given here, they replace the node's.
func WithTransport(opts ...httptransport.HandlerOption) Option {
	return func(c *config) { c.transport = append(c.transport, opts...) }
}

// WithAdmission has the node take perSecond requests a second, with burst at once
// after a rest; those above it are refused with ErrOverloaded and told to come back
// after 1 to 3 s, as the clients of this library do. By default it takes all that
// come. Reports of clients, nudges of peers and the node's own pages always come in.
//
// Set it where so many clients follow the servers that all of them at once would
// be too many: after a restart of all servers each client sends a few requests
// within seconds. [Node.Run] returns ErrInvalid where one is below 1.
func WithAdmission(perSecond, burst int) Option {
	return func(c *config) { c.admission = &rates{perSecond, burst} }
}

// WithAddressConnections sets how many connections one address may have; by default
// [DefaultAddressConnections]. An address never gets more than are left for the
// others: at most half of all that the process's limit of open files allows. Of those
// above it a few at a time are let in for one answer, which is ErrOverloaded (429), or
// that of one of the node's own pages; the rest are closed.
//
// Set it higher where many clients come from one address, that of a proxy.
// [Node.Run] returns ErrInvalid where it is below 1.
func WithAddressConnections(n int) Option {
	return func(c *config) { c.addressConns = n }
}

// WithHandler has the node serve handler for an [http.ServeMux] pattern, before
// the paths of the protocols but after the node's own. A malformed pattern
// panics, as it does there.
func WithHandler(pattern string, handler http.Handler) Option {
	return func(c *config) { c.routes = append(c.routes, route{pattern, handler}) }
}
