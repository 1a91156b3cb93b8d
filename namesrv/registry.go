package namesrv

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/lograte"
)

// The limits of a lease.
const (
	DefaultLease = 30 * time.Second
	MinLease     = time.Second
	MaxLease     = time.Hour
)

// maxBody is the largest accepted body, in bytes. No request needs a body.
const maxBody = 4 << 10

// Registry is a name server: an http.Handler. It is safe for concurrent use, starts no
// goroutines and needs no closing. It keeps the list only in memory; after a restart the
// servers register again within a third of their lease.
type Registry struct {
	leases   *leases
	guard    guard
	logger   *slog.Logger
	refusals lograte.Events // anyone who can reach the registry can cause them
	routes   *http.ServeMux
}

// RegistryOption changes a default of [NewRegistry].
type RegistryOption interface{ applyRegistry(*Registry) }

// ClientOption changes a default of [NewClient].
type ClientOption interface{ applyClient(*Client) }

// Option changes a default that both have.
type Option interface {
	RegistryOption
	ClientOption
}

type registryOption func(*Registry)

func (o registryOption) applyRegistry(r *Registry) { o(r) }

type secretOption struct{ secret cluster.Secret }

func (o secretOption) applyRegistry(r *Registry) {
	if !o.secret.IsZero() {
		r.guard.verifier = cluster.NewVerifier(o.secret)
	}
}
func (o secretOption) applyClient(c *Client) { c.secret = o.secret }

// WithSecret sets the secret that name servers and servers share. A registry then accepts
// registrations from every machine, but only with a proof of the secret;
// [WithInsecureRegistration] and [WithAllowedHosts] have no effect. A client adds the proof
// to its registrations. Clients that only find servers need no secret. The default is the
// zero Secret, which is none.
func WithSecret(secret cluster.Secret) Option { return secretOption{secret} }

type loggerOption struct{ logger *slog.Logger }

func (o loggerOption) applyRegistry(r *Registry) { r.logger = o.logger }
func (o loggerOption) applyClient(c *Client)     { c.logger = o.logger }

// WithLogger sets the logger. By default nothing is logged.
func WithLogger(logger *slog.Logger) Option { return loggerOption{logger} }

// WithInsecureRegistration makes the registry accept registrations from every machine that
// can reach it. Anyone who can register a server can serve configurations to all clients, so
// use this only in trusted networks.
func WithInsecureRegistration() RegistryOption {
	return registryOption(func(r *Registry) { r.guard.insecure = true })
}

// WithAllowedHosts adds host names, without a port, by which servers may call this name
// server to register. "*" allows all names, and "*.example.com" all names below example.com.
// IP addresses, localhost and names below .localhost are always allowed. The check stops web
// pages that make their own name resolve to this name server's address.
func WithAllowedHosts(names ...string) RegistryOption {
	return registryOption(func(r *Registry) { r.guard.hosts.Add(names...) })
}

// NewRegistry returns an empty registry.
func NewRegistry(opts ...RegistryOption) *Registry {
	r := &Registry{
		leases: newLeases(),
		guard:  guard{origin: http.NewCrossOriginProtection()},
		logger: slog.New(slog.DiscardHandler),
		routes: http.NewServeMux(),
	}
	for _, opt := range opts {
		opt.applyRegistry(r)
	}
	r.routes.Handle("/v1/servers", methods{http.MethodGet: r.list})
	r.routes.Handle("/v1/servers/{addr}", methods{http.MethodPut: r.register, http.MethodDelete: r.unregister})
	r.routes.Handle("/namesrv/addrs", methods{http.MethodGet: r.addrs})
	r.routes.Handle("/livez", methods{http.MethodGet: alive})
	r.routes.Handle("/readyz", methods{http.MethodGet: alive})
	r.routes.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, conf.Errorf(conf.ErrNotFound, "no such path; there are /v1/servers and /namesrv/addrs"))
	})
	return r
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.routes.ServeHTTP(w, req) }

// Register holds a lease for addr, a host:port, or https://host:port if the server speaks TLS,
// until ctx ends. Then it unregisters and returns nil. It is for a server in the process of the
// name server; others use a [Client]. The error wraps ErrInvalid if addr cannot be the address
// of a server, and ErrOverloaded if the list is full.
func (r *Registry) Register(ctx context.Context, addr string) error {
	addr, err := serverAddress(addr)
	if err != nil {
		return err
	}
	hostPort, scheme := splitScheme(addr)
	for {
		c, err := r.leases.put(hostPort, scheme, DefaultLease)
		r.log(c)
		if err != nil {
			return err
		}
		if c.changed {
			r.logger.Info("server registered", "address", hostPort, "tls", scheme == schemeTLS, "lease", DefaultLease, "version", c.version)
		}
		if backoff.Sleep(ctx, DefaultLease/3) != nil {
			r.log(r.leases.remove(hostPort))
			return nil
		}
	}
}

// methods are the methods of a path.
type methods map[string]http.HandlerFunc

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if handle := m[method]; handle != nil {
		handle(w, r)
		return
	}
	allow := strings.Replace(strings.Join(slices.Sorted(maps.Keys(m)), ", "), http.MethodGet, "GET, HEAD", 1)
	w.Header().Set("Allow", allow)
	writeErrorStatus(w, http.StatusMethodNotAllowed, "invalid", "method: this path has "+allow)
}

func (r *Registry) list(w http.ResponseWriter, _ *http.Request) {
	list, c := r.leases.list()
	r.log(c)
	writeJSON(w, http.StatusOK, list)
}

func (r *Registry) addrs(w http.ResponseWriter, _ *http.Request) {
	list, c := r.leases.list()
	r.log(c)
	if list.Incomplete && len(list.Servers) == 0 {
		// The text form cannot express that the list is incomplete.
		writeError(w, conf.Errorf(conf.ErrUnavailable, "%v", errUnknown))
		return
	}
	var addrs []string // without the servers that speak TLS, which the original's clients cannot
	for _, server := range list.Servers {
		if server.Scheme == "" {
			addrs = append(addrs, server.Address)
		}
	}
	writeBody(w, http.StatusOK, "text/plain; charset=utf-8", formatAddrs(addrs))
}

func (r *Registry) register(w http.ResponseWriter, req *http.Request) {
	addr, scheme, ttl, err := r.parse(w, req)
	if err != nil {
		r.refuse(w, req, err)
		return
	}
	c, err := r.leases.put(addr, scheme, ttl)
	r.log(c)
	if err != nil {
		r.refuse(w, req, err)
		return
	}
	if c.changed {
		r.logger.Info("server registered", "address", addr, "tls", scheme == schemeTLS, "lease", ttl, "version", c.version)
	}
	writeJSON(w, http.StatusOK, leaseAnswer{
		Instance: r.leases.instance, Version: c.version,
		Server: Server{Address: addr, Scheme: scheme, LeaseMs: ttl.Milliseconds()},
	})
}

func (r *Registry) unregister(w http.ResponseWriter, req *http.Request) {
	addr, _, _, err := r.parse(w, req)
	if err != nil {
		r.refuse(w, req, err)
		return
	}
	c := r.leases.remove(addr)
	r.log(c)
	if c.changed {
		r.logger.Info("server unregistered", "address", addr, "version", c.version)
	}
	w.WriteHeader(http.StatusNoContent)
}

// parse checks and reads a request that changes the list.
func (r *Registry) parse(w http.ResponseWriter, req *http.Request) (addr, scheme string, ttl time.Duration, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		if errors.As(err, new(*http.MaxBytesError)) {
			return "", "", 0, conf.Errorf(conf.ErrTooLarge, "body: more than %d bytes, and none is needed", maxBody)
		}
		return "", "", 0, conf.Errorf(conf.ErrInvalid, "body: cannot be read")
	}
	if err := r.guard.check(w.Header(), req, body); err != nil {
		return "", "", 0, err
	}
	if addr, err = canonical(req.PathValue("addr"), ""); err != nil {
		return "", "", 0, err
	}
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return "", "", 0, conf.Errorf(conf.ErrInvalid, "query: is malformed")
	}
	ttl = DefaultLease
	for name, values := range query {
		switch name {
		case "ttl":
			ttl, err = time.ParseDuration(values[0])
			if err != nil || len(values) > 1 || ttl < MinLease || ttl > MaxLease {
				return "", "", 0, conf.Errorf(conf.ErrInvalid, "ttl: is not one duration from %v to %v, such as 30s", MinLease, MaxLease)
			}
		case "scheme":
			if len(values) > 1 || values[0] != schemeTLS {
				return "", "", 0, conf.Errorf(conf.ErrInvalid, "scheme: is not https, for a server that speaks TLS")
			}
			scheme = schemeTLS
		default:
			return "", "", 0, conf.Errorf(conf.ErrInvalid, "parameter %+.100q: there are only ttl and scheme", name)
		}
	}
	return addr, scheme, ttl, nil
}

func (r *Registry) log(c change) {
	for _, addr := range c.expired {
		r.logger.Warn("server's lease has ended", "address", addr, "version", c.version)
	}
}

func (r *Registry) refuse(w http.ResponseWriter, req *http.Request, err error) {
	if others, ok := r.refusals.Log(); ok {
		r.logger.Info("request refused", "method", req.Method, "peer", req.RemoteAddr, "error", err, "others", others)
	}
	writeError(w, err)
}

func alive(w http.ResponseWriter, _ *http.Request) {
	writeBody(w, http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
}
