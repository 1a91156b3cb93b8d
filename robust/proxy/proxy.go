// Package proxy simulates a failing network: it carries TCP or other connections, and disturbs
// them on command. It uses only the runtime's clock, so over in-memory connections it works in
// the time of a synctest bubble.
package proxy

import (
	"context"
	"net"
	"sync"
	"time"
)

// Dial opens a connection to the target of a proxy.
type Dial func(ctx context.Context) (net.Conn, error)

// Conditions are the effects of a proxy on its connections. The zero Conditions have none.
type Conditions struct {
	// Refuse resets new connections at once.
	Refuse bool
	// Silent keeps connections open and loses everything sent on them in both directions,
	// as if a host or a path had disappeared. It is permanent for existing connections, and
	// for those that are opened before it is lifted.
	Silent bool
	// StallUp and StallDown hold back data to the server and to the client, like a network
	// that drops all packets in one direction. Data arrives once they are lifted, and
	// neither end notices meanwhile.
	StallUp, StallDown bool
	// Latency is the time that each piece takes in each direction, plus up to Jitter.
	Latency, Jitter time.Duration
	// Bandwidth limits the bytes a second in each direction of a connection; 0 means no
	// limit.
	Bandwidth int64
	// Limit is the number of bytes that come back on a connection before it is reset; 0
	// means no limit.
	Limit int64
	// Piece limits the bytes that are carried at once; 0 means no limit.
	Piece int
}

// Proxy carries connections between its listener and a target. [New] creates one. It is safe
// for concurrent use.
type Proxy struct {
	listener net.Listener
	ended    sync.WaitGroup

	mu      sync.Mutex
	dial    Dial                  // guarded by mu
	now     Conditions            // guarded by mu
	changed chan struct{}         // guarded by mu; closed when now or the set of connections changes
	conns   map[*carried]struct{} // guarded by mu
	closed  bool                  // guarded by mu
}

// New returns a proxy that carries connections of listener to the target of dial, until it is
// closed.
func New(listener net.Listener, dial Dial) *Proxy {
	p := &Proxy{listener: listener, dial: dial, changed: make(chan struct{}), conns: make(map[*carried]struct{})}
	p.ended.Go(p.accept)
	return p
}

// Addr returns the address of the proxy.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Set changes the conditions, including those of existing connections.
func (p *Proxy) Set(c Conditions) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = c
	if c.Silent {
		p.swallow()
	}
	p.wake()
}

// Target changes the target of new connections.
func (p *Proxy) Target(dial Dial) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dial = dial
}

// Cut resets the existing connections.
func (p *Proxy) Cut() {
	for _, c := range p.all() {
		c.reset()
	}
}

// Swallow permanently loses everything sent on the existing connections in both directions.
// Neither end notices, not even that the other one has closed.
func (p *Proxy) Swallow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swallow()
	p.wake()
}

// swallow marks the existing connections. mu must be held.
func (p *Proxy) swallow() {
	for c := range p.conns {
		c.swallowed = true
	}
}

// Len returns the number of connections.
func (p *Proxy) Len() int { return len(p.all()) }

// Close closes the proxy and its connections, and waits until they have ended.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.wake()
	p.mu.Unlock()
	_ = p.listener.Close()
	p.Cut()
	p.ended.Wait()
}

// wake makes all waiters check the conditions again. mu must be held.
func (p *Proxy) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) all() (conns []*carried) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		conns = append(conns, c)
	}
	return conns
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.ended.Go(func() { p.carry(conn) })
	}
}

// dialTimeout is the time to connect to the target.
const dialTimeout = 10 * time.Second

// carry carries one connection until it ends.
func (p *Proxy) carry(client net.Conn) {
	p.mu.Lock()
	dial, refuse := p.dial, p.now.Refuse || p.closed
	p.mu.Unlock()
	if refuse {
		reset(client)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	server, err := dial(ctx)
	cancel()
	if err != nil {
		reset(client)
		return
	}
	c := &carried{proxy: p, client: client, server: server, done: make(chan struct{})}
	p.mu.Lock()
	p.conns[c] = struct{}{}
	c.swallowed = p.now.Silent
	closed := p.closed
	p.mu.Unlock()
	if closed {
		c.reset()
	}
	var ends sync.WaitGroup
	ends.Go(func() { c.pump(server, client, true) })
	ends.Go(func() { c.pump(client, server, false) })
	ends.Wait()
	c.reset()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

// reset closes conn so that the other end sees an error.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
