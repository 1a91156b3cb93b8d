// Package cluster runs nodes, with a proxy on every connection of clients, so that each can
// fail separately. It works on the real network, and on an in-memory network in a synctest
// bubble.
package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/robust/proxy"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// Member is a server of a cluster.
type Member interface {
	// Start starts the server at its earlier address, unless it runs.
	Start() error
	// Stop stops the server gracefully, if it runs, and waits for its end.
	Stop() error
	// Addr returns the server's address.
	Addr() string
	// Dial opens a connection to the server.
	Dial(ctx context.Context) (net.Conn, error)
	// Log returns the server's log.
	Log() string
}

// Cluster is a set of servers with the links of clients to them. [New] creates one.
type Cluster struct {
	Network proxy.Network
	Members []Member
	// Links has the proxy between each client and each node.
	Links [][]*proxy.Proxy
	// NewFiles creates the local files of a client. If it is nil, clients have none.
	NewFiles func(client int) diamond.LocalFiles
	// Resolver finds the servers for clients. If it is nil, clients know all servers.
	Resolver transport.Resolver
	// TLS is the clients' configuration if fronts terminate TLS. If it is nil, clients use
	// plain HTTP.
	TLS *tls.Config

	// Token returns the secret with which a client proves itself, or with -1 that of transports
	// without a proxy, at each request. If it is nil, nobody proves anything.
	Token func(client int) string
	// TokenFile returns the file with that secret, which clients on the real network read.
	TokenFile func(client int) string

	mute map[int]proxy.Conditions // the conditions of the links to a node without other faults

	mu        sync.Mutex
	balancers []*transport.Balancer
	pools     []*http.Transport
	files     []diamond.LocalFiles
}

// New starts members, and returns a cluster of them with the links of the given number of
// clients.
func New(network proxy.Network, members []Member, clients int) (*Cluster, error) {
	c := &Cluster{
		Network: network, Members: members, Links: make([][]*proxy.Proxy, clients),
		balancers: make([]*transport.Balancer, clients), pools: make([]*http.Transport, clients),
		files: make([]diamond.LocalFiles, clients), mute: make(map[int]proxy.Conditions),
	}
	for _, n := range members {
		if err := n.Start(); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	for client := range clients {
		for _, n := range members {
			ln, err := network.Listen("")
			if err != nil {
				return nil, errors.Join(err, c.Close())
			}
			c.Links[client] = append(c.Links[client], proxy.New(ln, n.Dial))
		}
	}
	return c, nil
}

// Transport returns the transport of client to all nodes; see traffic.Target.
func (c *Cluster) Transport(client int) diamond.Transport {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.balancers[client]; b != nil {
		return b
	}
	var addrs []string
	links := make(map[string]string) // the client's link to each address
	for i, link := range c.Links[client] {
		addrs = append(addrs, c.Members[i].Addr())
		links[addrs[i]] = link.Addr()
	}
	resolver := c.Resolver
	if resolver == nil {
		resolver = transport.Static(addrs...)
	}
	dial := c.dialer(client)
	c.balancers[client] = transport.NewBalancer(resolver, func(addr string) (diamond.Transport, error) {
		link, ok := links[addr]
		if !ok {
			return nil, fmt.Errorf("%s is not an address of the cluster", addr)
		}
		return dial(link)
	})
	return c.balancers[client]
}

// dialer returns a function that creates a client's transport over a link. On the real
// network the transport has its default options. mu must be held.
func (c *Cluster) dialer(client int) func(link string) (diamond.Transport, error) {
	_, real := c.Network.(proxy.Loopback)
	switch {
	case real && c.TLS != nil:
		dial := httptransport.Dialer(append(c.proof(client), httptransport.WithTLS(c.TLS))...)
		return func(link string) (diamond.Transport, error) { return dial("https://" + link) }
	case real:
		return httptransport.Dialer(c.proof(client)...)
	}
	pool := c.pool()
	c.pools[client] = pool
	return httptransport.Dialer(httptransport.WithHTTPClient(c.client(pool, client)))
}

// proof returns the option with which a client on the real network proves itself, if it does.
func (c *Cluster) proof(client int) []httptransport.Option {
	if c.TokenFile == nil {
		return nil
	}
	return []httptransport.Option{httptransport.WithTokenFile(c.TokenFile(client))}
}

// client returns an HTTP client that proves to be client, or whoever has a secret if there are
// tokens.
func (c *Cluster) client(pool *http.Transport, client int) *http.Client {
	if c.Token == nil {
		return &http.Client{Transport: pool}
	}
	return &http.Client{Transport: &bearer{pool, func() string { return c.Token(client) }}}
}

// bearer sends a token with each request.
type bearer struct {
	http.RoundTripper
	token func() string
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token())
	return b.RoundTripper.RoundTrip(r)
}

// Direct returns a transport to one server without a proxy.
func (c *Cluster) Direct(server int) *httptransport.Transport {
	return c.DirectTo(c.Members[server].Addr())
}

// directPatience is the timeout of transports without a proxy. Their connections do not fail,
// but the machine may be busy.
const directPatience = time.Minute

// DirectTo returns a transport to the server at an address. It keeps no connections.
func (c *Cluster) DirectTo(addr string) *httptransport.Transport {
	pool := c.pool()
	pool.DisableKeepAlives = true
	return direct(addr, c.client(pool, -1))
}

// DirectAs is [Cluster.Direct] for whoever has the secret that token returns.
func (c *Cluster) DirectAs(server int, token func() string) *httptransport.Transport {
	pool := c.pool()
	pool.DisableKeepAlives = true
	return direct(c.Members[server].Addr(), &http.Client{Transport: &bearer{pool, token}})
}

func direct(addr string, client *http.Client) *httptransport.Transport {
	over, err := httptransport.New(addr, httptransport.WithHTTPClient(client), httptransport.WithTimeout(directPatience))
	if err != nil {
		panic(err) // the members know their own addresses
	}
	return over
}

func (c *Cluster) pool() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return c.Network.Dial(ctx, addr)
		},
		DisableCompression: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second,
	}
}

// Files returns the local files of client; see traffic.Target.
func (c *Cluster) Files(client int) diamond.LocalFiles {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files[client] == nil && c.NewFiles != nil {
		c.files[client] = c.NewFiles(client)
	}
	return c.files[client]
}

// To calls do with every link to a node.
func (c *Cluster) To(node int, do func(*proxy.Proxy)) {
	for _, links := range c.Links {
		do(links[node])
	}
}

// Mute makes a node silent to clients until Heal, regardless of other faults. It must be called
// before any of them.
func (c *Cluster) Mute(node int) {
	c.mute[node] = proxy.Conditions{Silent: true}
	c.To(node, func(p *proxy.Proxy) { p.Set(c.mute[node]) })
}

// Heal removes the faults of every link. Swallowed connections stay swallowed.
func (c *Cluster) Heal() {
	clear(c.mute)
	for node := range c.Members {
		c.To(node, func(p *proxy.Proxy) { p.Set(proxy.Conditions{}) })
	}
}

// Logs returns the log of each node.
func (c *Cluster) Logs() map[string]string {
	logs := make(map[string]string)
	for i, n := range c.Members {
		logs[fmt.Sprintf("node-%d.log", i)] = n.Log()
	}
	return logs
}

// Close ends everything.
func (c *Cluster) Close() error {
	c.mu.Lock()
	balancers, pools := c.balancers, c.pools
	c.balancers, c.pools = nil, nil
	c.mu.Unlock()
	for i, b := range balancers {
		if b != nil {
			b.Close()
		}
		if pools[i] != nil {
			pools[i].CloseIdleConnections()
		}
	}
	for _, links := range c.Links {
		for _, link := range links {
			link.Close()
		}
	}
	var errs []error
	for _, n := range c.Members {
		errs = append(errs, n.Stop())
	}
	return errors.Join(errs...)
}

// text collects a log.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

func (t *text) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(t, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
