package server

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
)

// Resolver finds the servers of a cluster. namesrv.NewClient and transport.Static make
// one.
type Resolver interface {
	// Resolve returns the addresses of all servers that are thought to be alive, with
	// or without this one, as host:port or as http URLs, in any order.
	Resolve(ctx context.Context) ([]string, error)
}

const (
	// resolveEvery is the interval at which a node asks for the list of its peers.
	resolveEvery = 3 * time.Second
	// resolveTimeout bounds one resolve.
	resolveTimeout = 5 * time.Second
)

// peers holds the other servers that share the storage, and nudges them after each
// commit of this server, so that they need not wait for their next read of the log.
// If a nudge fails, they only learn of the commit later.
type peers struct {
	id       string // of this node in this run; a node that gets it as an answer has nudged itself
	srv      diamond.Server
	resolver Resolver
	secret   cluster.Secret
	http     *http.Client
	shared   bool // the caller owns http
	logger   *slog.Logger
	counts   *peerCounts
	surveys  chan struct{} // one element for each request under way for which all are asked
	port     string        // of the peers' own listeners; "" if they have none
	secure   bool          // this node speaks TLS to clients, so https addresses are those for clients

	mu         sync.Mutex
	members    map[string]*peer // guarded by mu; by address, without this node's own
	unresolved error            // guarded by mu; the error of the last resolve
}

// newPeers returns the peers of a node, which are not known yet.
func newPeers(srv diamond.Server, c *config) *peers {
	client := http.Client{Transport: newPeerTransport()}
	if c.peerHTTP != nil {
		client = *c.peerHTTP
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &peers{
		id: rand.Text(), srv: srv, resolver: c.peers, secure: c.tls != nil, secret: c.secret, http: &client, shared: c.peerHTTP != nil, logger: c.logger,
		counts: newPeerCounts(), surveys: make(chan struct{}, maxSurveys), members: map[string]*peer{},
	}
}

func (p *peers) closeIdle() {
	if !p.shared {
		p.http.CloseIdleConnections()
	}
}

// run keeps the list of peers up to date and nudges them after commits until ctx
// ends. Own are the addresses by which this node may be in the list.
func (p *peers) run(ctx context.Context, own []string) {
	var working sync.WaitGroup
	defer p.closeIdle()
	defer working.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := p.srv.OnCommitted(p.announce)
	defer stop()
	for {
		p.resolve(ctx, &working, own)
		if backoff.Sleep(ctx, backoff.Jitter(resolveEvery, 0.1)) != nil {
			return
		}
	}
}

// announce nudges all peers after a commit. It does not wait.
func (p *peers) announce(at conf.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.members {
		m.tell(at)
	}
}

// resolve updates the list of peers. An empty or failed answer changes nothing.
func (p *peers) resolve(ctx context.Context, working *sync.WaitGroup, own []string) {
	timed, cancel := context.WithTimeout(ctx, resolveTimeout)
	addrs, err := p.resolver.Resolve(timed)
	cancel()
	if ctx.Err() != nil {
		return
	}
	if err == nil && len(addrs) == 0 {
		err = errNoServers
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if (err == nil) != (p.unresolved == nil) {
		if err != nil {
			p.logger.Warn("peers cannot be looked up", "known", len(p.members), "error", err)
		} else {
			p.logger.Info("peers can be looked up again")
		}
	}
	if p.unresolved = err; err == nil {
		p.replace(ctx, working, addrs, own)
	}
}

var errNoServers = errors.New("the list of servers is empty")

// replace sets the list of peers. The caller holds mu.
func (p *peers) replace(ctx context.Context, working *sync.WaitGroup, addrs, own []string) {
	gone := p.members
	p.members = make(map[string]*peer, len(addrs))
	for _, addr := range addrs {
		if addr == "" || p.members[addr] != nil || slices.ContainsFunc(own, func(o string) bool { return strings.EqualFold(o, addr) }) {
			continue
		}
		if known := gone[addr]; known != nil {
			p.members[addr] = known
			delete(gone, addr)
			continue
		}
		m := newPeer(p, addr)
		p.members[addr] = m
		until, cancel := context.WithCancel(ctx)
		m.stop = cancel
		working.Go(func() { m.run(until) })
		// At once, so that this node has the challenge to sign before the next commit. The
		// peer may also have missed a commit.
		m.tell(p.srv.Status().Position)
		p.logger.Info("peer found", "peer", addr)
	}
	for addr, m := range gone {
		m.stop()
		p.logger.Info("peer has left", "peer", addr)
	}
}
