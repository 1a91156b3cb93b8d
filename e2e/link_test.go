package e2e

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// link carries connections between clients and one server, and spoils them on
// command: a network, or a proxy, that fails. All of it is in memory, so that
// its time can be that of a bubble.
type link struct {
	mu      sync.Mutex
	server  *pipes        // guarded by mu; nil: connections are refused
	idle    time.Duration // guarded by mu: after which connections on which nothing moves are cut; 0: never
	limit   int64         // guarded by mu: bytes of answers after which new connections are cut; negative: never
	mute    bool          // guarded by mu: new connections are swallowed from the start
	carried map[*carried]struct{}
}

func newLink() *link { return &link{limit: -1, carried: make(map[*carried]struct{})} }

// to has new connections lead to server; nil: be refused. Those that there are stay.
func (l *link) to(server *pipes) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.server = server
}

// set changes how new connections are treated.
func (l *link) set(change func(*link)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

// open returns how many connections the server has.
func (l *link) open() (n int) {
	l.each(func(c *carried) {
		if !c.left.Load() {
			n++
		}
	})
	return n
}

func (l *link) each(do func(*carried)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.carried {
		do(c)
	}
}

// swallow has all packets on the connections that there are be dropped, both
// ways, and nobody be told: not even that the other end has closed.
func (l *link) swallow() { l.each(func(c *carried) { c.swallowed.Store(true) }) }

// cut resets the connections that there are.
func (l *link) cut() { l.each((*carried).cut) }

func (l *link) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	l.mu.Lock()
	server := l.server
	l.mu.Unlock()
	if server == nil {
		return nil, syscall.ECONNREFUSED
	}
	there, err := server.dial(ctx)
	if err != nil {
		return nil, err
	}
	near, here := net.Pipe()
	c := &carried{client: here, server: there}
	l.mu.Lock()
	defer l.mu.Unlock()
	c.rest = l.limit
	c.swallowed.Store(l.mute)
	l.carried[c] = struct{}{}
	if idle := l.idle; idle > 0 {
		c.timer = time.AfterFunc(idle, c.cut)
		c.idle = idle
	}
	var ends sync.WaitGroup
	ends.Go(func() { c.pump(c.server, c.client, false) })
	ends.Go(func() {
		c.pump(c.client, c.server, true)
		c.left.Store(true)
	})
	go func() {
		ends.Wait()
		l.set(func(l *link) { delete(l.carried, c) })
	}()
	return near, nil
}

// carried is one connection.
type carried struct {
	client, server net.Conn
	swallowed      atomic.Bool
	left           atomic.Bool // by the server
	rest           int64       // bytes of answers; used by their pump alone
	idle           time.Duration
	timer          *time.Timer // nil: none
}

func (c *carried) cut() {
	_ = c.client.Close()
	_ = c.server.Close()
	if c.timer != nil {
		c.timer.Stop()
	}
}

// pump carries what comes from one end to the other.
func (c *carried) pump(to, from net.Conn, answers bool) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if c.swallowed.Load() {
			if err != nil {
				_ = from.Close()
				return
			}
			continue
		}
		if n > 0 && c.timer != nil {
			c.timer.Reset(c.idle)
		}
		if answers && c.rest >= 0 {
			n = int(min(int64(n), c.rest))
			c.rest -= int64(n)
		}
		if _, failed := to.Write(buffer[:n]); failed != nil || err != nil || answers && c.rest == 0 {
			if !c.swallowed.Load() {
				c.cut()
			}
			return
		}
	}
}

// pipes is a listener without a network.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1210} }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.closed:
		return nil, syscall.ECONNREFUSED
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
