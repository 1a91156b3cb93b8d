// Package cluster runs nodes and the clients' ways to them, with a proxy on
// every way, so that each can fail on its own. It works on the real network,
// and on one in memory in a bubble.
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
	// Start starts it, unless it runs, at the address that it had before.
	Start() error
	// Stop ends it in good order, if it runs, and waits for that.
	Stop() error
	// Addr returns where it listens.
	Addr() string
	// Dial opens a connection to it.
	Dial(ctx context.Context) (net.Conn, error)
	// Log returns what it has logged.
	Log() string
}

// Cluster is some servers and the ways of some clients to them. [New] makes one.
type Cluster struct {
	Network proxy.Network
	Members []Member
	// Links are the ways of each client to each node.
	Links [][]*proxy.Proxy
	// NewFiles makes the local files of a client; nil: clients have none.
	NewFiles func(client int) diamond.LocalFiles
	// Resolver finds the servers for clients; nil: they know all from the start.
	Resolver transport.Resolver
	// TLS is what clients use where the servers' fronts end it; nil: they speak plain HTTP.
	TLS *tls.Config

	mute map[int]proxy.Conditions // what the ways to a node are like when no other fault is up

	mu        sync.Mutex
	balancers []*transport.Balancer
	pools     []*http.Transport
	files     []diamond.LocalFiles
}

// New returns a cluster of members, which it starts, and the ways of so many
// clients to them.
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

// Transport returns client's way to all nodes; see traffic.Target.
func (c *Cluster) Transport(client int) diamond.Transport {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.balancers[client]; b != nil {
		return b
	}
	var addrs []string
	links := make(map[string]string) // the client's way to each address
	for i, link := range c.Links[client] {
		addrs = append(addrs, c.Members[i].Addr())
		links[addrs[i]] = link.Addr()
	}
	resolver := c.Resolver
	if resolver == nil {
		resolver = transport.Static(addrs...)
	}
	over := c.over(client)
	c.balancers[client] = transport.Balance(resolver, func(addr string) (diamond.Transport, error) {
		link, ok := links[addr]
		if !ok {
			return nil, fmt.Errorf("%s is none of the cluster's", addr)
		}
		return over(link), nil
	})
	return c.balancers[client]
}

// over returns what makes a client's transport over a link: on the real network
// with the defaults that programs have. mu must be held.
func (c *Cluster) over(client int) func(link string) *httptransport.Transport {
	_, real := c.Network.(proxy.Loopback)
	switch {
	case real && c.TLS != nil:
		return func(link string) *httptransport.Transport {
			return httptransport.New("https://"+link, httptransport.WithTLS(c.TLS))
		}
	case real:
		return func(link string) *httptransport.Transport { return httptransport.New(link) }
	}
	pool := c.pool()
	c.pools[client] = pool
	shared := httptransport.WithHTTPClient(&http.Client{Transport: pool})
	return func(link string) *httptransport.Transport { return httptransport.New(link, shared) }
}

// Direct returns the way to one server past all proxies.
func (c *Cluster) Direct(server int) *httptransport.Transport {
	return c.DirectTo(c.Members[server].Addr())
}

// directPatience is for how long who asks a server past all proxies bears its
// silence: nothing is wrong with that way, but the machine may be busy.
const directPatience = time.Minute

// DirectTo returns the way to the server at an address. It keeps no connections.
func (c *Cluster) DirectTo(addr string) *httptransport.Transport {
	pool := c.pool()
	pool.DisableKeepAlives = true
	return httptransport.New(addr, httptransport.WithHTTPClient(&http.Client{Transport: pool}), httptransport.WithTimeout(directPatience))
}

func (c *Cluster) pool() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return c.Network.Dial(ctx, addr)
		},
		DisableCompression: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second,
	}
}

// Files returns client's local files; see traffic.Target.
func (c *Cluster) Files(client int) diamond.LocalFiles {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files[client] == nil && c.NewFiles != nil {
		c.files[client] = c.NewFiles(client)
	}
	return c.files[client]
}

// To calls do with every way to a node.
func (c *Cluster) To(node int, do func(*proxy.Proxy)) {
	for _, links := range c.Links {
		do(links[node])
	}
}

// Mute has a node be silent to clients from now on until Heal, whatever other
// faults come and go. It is called before any of these.
func (c *Cluster) Mute(node int) {
	c.mute[node] = proxy.Conditions{Silent: true}
	c.To(node, func(p *proxy.Proxy) { p.Set(c.mute[node]) })
}

// Heal has every way be a good one again. Connections that were swallowed stay so.
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
