package namesrv

import (
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/internal/lograte"
)

// What a lease may be.
const (
	DefaultLease = 30 * time.Second
	MinLease     = time.Second
	MaxLease     = time.Hour
)

// maxBody is how many bytes of a body, which no request needs, are put up with.
const maxBody = 4 << 10

// Registry is a name server: an http.Handler. It is safe for concurrent use,
// starts no goroutine and needs no closing. What it knows is lost with it; the
// servers tell it again within a third of their lease.
type Registry struct {
	leases   *leases
	guard    guard
	logger   *slog.Logger
	refusals lograte.Events // whoever can reach it causes them
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

// WithSecret sets the secret that name servers and servers share. A registry
// then takes registrations from every machine, but only with a proof that who
// sends them knows it; [WithInsecureRegistration] and [WithAllowedHosts] have no
// effect. A client proves it with what it sends. Who only looks for servers needs
// none. The zero Secret, the default, is none.
func WithSecret(secret cluster.Secret) Option { return secretOption{secret} }

type loggerOption struct{ logger *slog.Logger }

func (o loggerOption) applyRegistry(r *Registry) { r.logger = o.logger }
func (o loggerOption) applyClient(c *Client)     { c.logger = o.logger }

// WithLogger sets where log records go; by default nowhere.
func WithLogger(logger *slog.Logger) Option { return loggerOption{logger} }

// WithInsecureRegistration has the registry take registrations from every
// machine that reaches it. Whoever can register a server can serve
// configurations to all clients, so this is for networks that can be trusted.
func WithInsecureRegistration() RegistryOption {
	return registryOption(func(r *Registry) { r.guard.insecure = true })
}

// WithAllowedHosts adds host names, without port, by which servers call this
// name server to register; "*" allows all, "*.example.com" all below that. IP
// addresses, localhost and names under .localhost always are. A web page that has its own name resolved to
// this name server's address is kept out by it.
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
		writeError(w, diamond.Errorf(diamond.ErrNotFound, "no such path; there are /v1/servers and /namesrv/addrs"))
	})
	return r
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.routes.ServeHTTP(w, req) }

// methods are those that a path has.
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
		// This form has no other way to say that it is not that there are none.
		writeError(w, diamond.Errorf(diamond.ErrUnavailable, "%v", errUnknown))
		return
	}
	addrs := make([]string, len(list.Servers))
	for i, server := range list.Servers {
		addrs[i] = server.Address
	}
	writeBody(w, http.StatusOK, "text/plain; charset=utf-8", formatAddrs(addrs))
}

func (r *Registry) register(w http.ResponseWriter, req *http.Request) {
	addr, ttl, err := r.parse(w, req)
	if err != nil {
		r.refuse(w, req, err)
		return
	}
	c, err := r.leases.put(addr, ttl)
	r.log(c)
	if err != nil {
		r.refuse(w, req, err)
		return
	}
	if c.changed {
		r.logger.Info("server registered", "address", addr, "lease", ttl, "version", c.version)
	}
	writeJSON(w, http.StatusOK, leaseAnswer{
		Instance: r.leases.instance, Version: c.version,
		Server: Server{Address: addr, LeaseMs: ttl.Milliseconds()},
	})
}

func (r *Registry) unregister(w http.ResponseWriter, req *http.Request) {
	addr, _, err := r.parse(w, req)
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

// parse reads a request that changes something, once it may.
func (r *Registry) parse(w http.ResponseWriter, req *http.Request) (addr string, ttl time.Duration, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		if errors.As(err, new(*http.MaxBytesError)) {
			return "", 0, diamond.Errorf(diamond.ErrTooLarge, "body: more than %d bytes, and none is needed", maxBody)
		}
		return "", 0, diamond.Errorf(diamond.ErrInvalid, "body: cannot be read")
	}
	if err := r.guard.check(w.Header(), req, body); err != nil {
		return "", 0, err
	}
	if addr, err = canonical(req.PathValue("addr"), ""); err != nil {
		return "", 0, err
	}
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return "", 0, diamond.Errorf(diamond.ErrInvalid, "query: is malformed")
	}
	ttl = DefaultLease
	for name, values := range query {
		if name != "ttl" {
			return "", 0, diamond.Errorf(diamond.ErrInvalid, "parameter %+.100q: there is only ttl", name)
		}
		ttl, err = time.ParseDuration(values[0])
		if err != nil || len(values) > 1 || ttl < MinLease || ttl > MaxLease {
			return "", 0, diamond.Errorf(diamond.ErrInvalid, "ttl: is not one duration from %v to %v, such as 30s", MinLease, MaxLease)
		}
	}
	return addr, ttl, nil
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
