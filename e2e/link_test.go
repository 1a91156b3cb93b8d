package e2e

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/linnaname/gdiamond/internal/memnet"
)

// link carries connections between clients and one server, and spoils them on
// command: a network, or a proxy, that fails. All of it is in memory, so that
// its time can be that of a bubble.
type link struct {
	mu      sync.Mutex
	server  *memnet.Listener // guarded by mu; nil: connections are refused
	idle    time.Duration    // guarded by mu: after which connections on which nothing moves are cut; 0: never
	limit   int64            // guarded by mu: bytes of answers after which new connections are cut; negative: never
	mute    bool             // guarded by mu: new connections are swallowed from the start
	carried map[*carried]struct{}
}

func newLink() *link { return &link{limit: -1, carried: make(map[*carried]struct{})} }

// to has new connections lead to server; nil: be refused. Those that there are stay.
func (l *link) to(server *memnet.Listener) {
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
	there, err := server.DialContext(ctx, "", "")
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
