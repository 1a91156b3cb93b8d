// Package proxy carries TCP connections, or any others, and spoils them on
// command: a network that fails. It reads no clock but the runtime's, so that
// over connections in memory it works in the time of a bubble.
package proxy

import (
	"context"
	"net"
	"sync"
	"time"
)

// Dial opens a connection to what is behind a proxy.
type Dial func(ctx context.Context) (net.Conn, error)

// Conditions are what a proxy does to the connections that it carries. The
// zero Conditions do nothing.
type Conditions struct {
	// Refuse has new connections be reset at once.
	Refuse bool
	// Silent has connections stay open and lose all that is sent on them, both
	// ways, as where a host or a path has gone without a word. It is so for good
	// for those that there are, and for those made before it is lifted.
	Silent bool
	// StallUp and StallDown hold back what goes to the server and to the client,
	// as when a network drops all packets one way: what was sent arrives once
	// they are lifted, and nobody is told meanwhile.
	StallUp, StallDown bool
	// Latency is how long each piece takes, each way; up to Jitter more.
	Latency, Jitter time.Duration
	// Bandwidth is how many bytes a second go each way of a connection; 0: any number.
	Bandwidth int64
	// Limit is how many bytes come back on a connection before it is reset; 0: any number.
	Limit int64
	// Piece is how many bytes are carried at once at most; 0: any number.
	Piece int
}

// Proxy carries connections between those who dial its listener and a target.
// [New] makes one. It is safe for concurrent use.
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

// New returns a proxy that carries what listener accepts to what dial opens,
// until it is closed.
func New(listener net.Listener, dial Dial) *Proxy {
	p := &Proxy{listener: listener, dial: dial, changed: make(chan struct{}), conns: make(map[*carried]struct{})}
	p.ended.Go(p.accept)
	return p
}

// Addr returns where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Set changes the conditions, for the connections that there are too.
func (p *Proxy) Set(c Conditions) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = c
	if c.Silent {
		p.swallow()
	}
	p.wake()
}

// Target has new connections be carried to what dial opens.
func (p *Proxy) Target(dial Dial) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dial = dial
}

// Cut resets the connections that there are.
func (p *Proxy) Cut() {
	for _, c := range p.all() {
		c.reset()
	}
}

// Swallow loses all that is sent on the connections that there are, for good
// and both ways, and nobody is told: not even that the other end has closed.
func (p *Proxy) Swallow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swallow()
	p.wake()
}

// swallow marks the connections that there are. mu must be held.
func (p *Proxy) swallow() {
	for c := range p.conns {
		c.swallowed = true
	}
}

// Len returns how many connections there are.
func (p *Proxy) Len() int { return len(p.all()) }

// Close ends the proxy and its connections, and waits for that.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.wake()
	p.mu.Unlock()
	_ = p.listener.Close()
	p.Cut()
	p.ended.Wait()
}

// wake has all who wait look at the conditions again. mu must be held.
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

// dialTimeout is for how long the target of a connection is tried.
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

// reset closes conn so that the other end is told that something went wrong.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
