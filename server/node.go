package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// Node hosts one [diamond.Server] on a network. [NewNode] makes one.
type Node struct {
	srv        diamond.Server
	config     config
	metrics    *metrics
	peers      *peers               // nil without peers
	nudges     *nudgeHandler        // nil without peers
	queries    *queryHandler        // nil without peers
	monitor    *monitor             // nil if the server does not know who polls it
	registered *registrationStatus  // nil if the registry has no status
	handler    http.Handler         // of the server's protocols
	pages      map[string]*nodePage // by path
	extra      *http.ServeMux       // the handlers of [WithHandler]; nil without any

	made time.Time
	name atomic.Pointer[string] // the address by which others know it; nil until it runs
	// leaving is set when a shutdown begins: the node is not ready.
	leaving atomic.Bool
}

// NewNode returns a node that hosts srv; [Node.Run] runs it.
func NewNode(srv diamond.Server, opts ...Option) *Node {
	n := &Node{srv: srv, made: time.Now(), config: config{
		address: DefaultAddress, logger: slog.New(slog.DiscardHandler), addressConns: DefaultAddressConnections,
	}}
	for _, opt := range opts {
		opt(&n.config)
	}
	if n.config.peers != nil {
		n.peers = newPeers(srv, &n.config)
	}
	n.registered = newRegistrationStatus(n.config.registry)
	n.metrics = newMetrics(srv, n.peers, n.registered, n.config.metrics)
	if n.config.tls != nil {
		n.metrics.others = append(n.metrics.others, &certificateCollector{n.config.tls})
	}
	gate := &admission{}
	if r := n.config.admission; r != nil {
		gate.bucket = rate.NewLimiter(rate.Limit(r.perSecond), r.burst)
	}
	if host, err := n.config.externalHost(); err == nil && host != "" { // Run returns the error
		n.config.transport = append(n.config.transport, httptransport.WithAllowedHosts(host))
	}
	own := []httptransport.HandlerOption{
		httptransport.WithLogger(n.config.logger),
		httptransport.WithObserver(n.metrics.observe),
		httptransport.WithAdmission(gate.admit),
	}
	if n.monitor = newMonitor(srv, n.peers, &n.name); n.monitor != nil {
		own = append(own, httptransport.WithMonitor(n.monitor))
	}
	n.handler = httptransport.NewHandler(srv, append(own, n.config.transport...)...)
	n.pages = map[string]*nodePage{
		"/livez":      {Handler: page(n.livez), right: httpserve.RightNone},
		"/healthz":    {Handler: page(n.livez), right: httpserve.RightNone},
		"/readyz":     {Handler: page(n.readyz), right: httpserve.RightNone, verbose: httpserve.RightAll},
		"/metrics":    {Handler: page(n.metrics.serve), right: httpserve.RightAll},
		"/version":    {Handler: page(serveVersion), right: httpserve.RightNone},
		"/v1/cluster": {Handler: page(n.clusterPage), right: httpserve.RightAll},
	}
	if n.peers != nil {
		n.nudges = newNudgeHandler(n.peers, n.config.peerListener != nil, n.metrics.observe)
		n.queries = newQueryHandler(n.peers, n.config.peerListener != nil, n.monitor, n.state, n.metrics.observe)
		if n.config.peerListener == nil {
			n.pages[pathNudge] = &nodePage{Handler: n.nudges, right: httpserve.RightPeer}
			n.pages[pathQuery] = &nodePage{Handler: n.queries, right: httpserve.RightPeer}
		}
	}
	for _, r := range n.config.routes {
		if n.extra == nil {
			n.extra = http.NewServeMux()
		}
		n.extra.Handle(r.pattern, r.handler)
	}
	return n
}

// Run listens and serves until ctx ends, then drains and returns nil. It
// returns an error at once when it cannot listen, and later when the listener
// fails. A node runs once; when Run has returned, the server is closed. The
// server's storage is not.
//
// To drain, the node becomes unready, unregisters, and waits for the delay, if one is
// set. It then answers every parked poll, lets each connection end with its next
// answer, finishes the requests under way within ten seconds, and closes the server.
func (n *Node) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, n.srv.Close()) }()
	defer n.config.peerListener.close()
	if own := n.config.pagesListener; own != nil {
		defer own.Close()
	}
	if r := n.config.admission; r != nil && (r.perSecond < 1 || r.burst < 1) {
		return conf.Errorf(conf.ErrInvalid, "admission: %d requests a second, %d at once: less than 1", r.perSecond, r.burst)
	}
	if _, err := n.config.externalHost(); err != nil {
		return err
	}
	if most := n.config.addressConns; most < 1 {
		return conf.Errorf(conf.ErrInvalid, "connections of one address: %d, less than 1", most)
	}
	hosts, err := n.open(ctx)
	for _, h := range hosts {
		defer h.close()
	}
	if err != nil {
		return err
	}
	if err := n.metrics.register(); err != nil {
		return err
	}
	defer n.metrics.unregister()
	ln := hosts[0].listener
	name := cmp.Or(n.config.advertise, ln.Addr().String())
	n.name.Store(&name)

	if n.peers != nil {
		defer n.startPeers(ln)()
	}
	unregister := func() {}
	if n.config.registry != nil {
		addr, err := n.config.advertised(ln)
		if err != nil {
			return err
		}
		unregister = n.register(n.config.advertisedURL(addr))
		defer unregister()
	}
	served := make(chan error, len(hosts))
	for _, h := range hosts {
		h.start(served)
		n.config.logger.Info("serving", "address", h.listener.Addr().String())
	}
	running := len(hosts)
	select {
	case <-ctx.Done():
	case failed := <-served:
		running--
		err = fmt.Errorf("server: %w", failed)
	}
	n.drain(hosts, unregister)
	for range running {
		<-served
	}
	return err
}

// open listens for clients, and for peers if they have their own listener. With an error
// it also returns the hosts that are open already.
func (n *Node) open(ctx context.Context) ([]*host, error) {
	ln, err := n.config.listen(ctx)
	if err != nil {
		return nil, err
	}
	limit := newConnLimit(openFiles(), int64(n.config.addressConns), n.config.logger)
	limit.refused = n.metrics.refused
	secured, err := n.config.secure(ln)
	if err != nil {
		_ = ln.Close()
		return nil, err
	}
	own := newHost(secured, http.HandlerFunc(n.serveHTTP), limit, n.config.logger)
	if n.config.tls != nil {
		own.checkClients(&clientCertificates{n.config.tls})
	}
	if len(n.config.proxies) > 0 {
		behind := &forwarded{n.config.proxies}
		own.http.Handler = behind.handler(own.http.Handler)
	}
	hosts := []*host{own}
	if pages := n.config.pagesListener; pages != nil {
		limit := newConnLimit(openFiles(), DefaultAddressConnections, n.config.logger)
		hosts = append(hosts, newHost(keepAliveListener{pages}, http.HandlerFunc(n.servePages), limit, n.config.logger))
	}
	if n.config.peerListener == nil {
		return hosts, nil
	}
	peerHost, port, err := n.config.peerListener.open(&n.config, n.nudges, n.queries)
	if err != nil {
		return hosts, err
	}
	n.peers.port = port
	return append(hosts, peerHost), nil
}

// startPeers starts to nudge the peers. Stop ends that.
func (n *Node) startPeers(ln net.Listener) (stop func()) {
	own := []string{ln.Addr().String(), n.config.advertise}
	if n.config.tls != nil {
		own = append(own, "https://"+ln.Addr().String(), "https://"+n.config.advertise)
	}
	if l := n.config.peerListener; l != nil {
		own = append(own, "https://"+l.listener.Addr().String())
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.peers.run(ctx, own)
	}()
	return func() {
		cancel()
		<-done
	}
}

// drain ends the hosts without failing a request.
func (n *Node) drain(hosts []*host, unregister func()) {
	logger := n.config.logger
	logger.Info("draining", "waiters", n.srv.Status().Waiters)
	begun := time.Now()
	n.leaving.Store(true)
	unregister()
	time.Sleep(n.config.shutdownDelay)
	for _, h := range hosts {
		h.closing.Store(true) // before polls are answered, whose clients ask again at once
	}
	n.srv.Drain()
	var ending sync.WaitGroup
	for _, h := range hosts {
		ending.Go(h.shutdown)
	}
	ending.Wait()
	logger.Info("drained", "took", time.Since(begun).Round(time.Millisecond))
}

// serveHTTP serves the node's pages, which are few and cheap to rule out, then the
// handlers of [WithHandler], then the protocols.
func (n *Node) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if page := n.pages[r.URL.Path]; page != nil {
		n.servePage(w, r, page)
		return
	}
	if n.extra != nil {
		if _, pattern := n.extra.Handler(r); pattern != "" {
			// The caller's handler sets its own deadlines.
			_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
			n.extra.ServeHTTP(w, r)
			return
		}
	}
	n.handler.ServeHTTP(w, r)
}

// servePages serves the node's pages alone, to all who can reach their listener.
func (n *Node) servePages(w http.ResponseWriter, r *http.Request) {
	page := n.pages[r.URL.Path]
	if page == nil || page.right == httpserve.RightPeer {
		http.NotFound(w, r)
		return
	}
	page.ServeHTTP(w, r)
}
