package server

import (
	"log/slog"
	"net"
	"sync/atomic"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linnaname/gdiamond/internal/budget"
	"github.com/linnaname/gdiamond/internal/lograte"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

const (
	// manyFiles stands for no limit.
	manyFiles = 1 << 40
	// maxGuests is how many connections are let in at once beyond those that there
	// may be: see [guest]. No address has more than half of them.
	maxGuests = 16
	// DefaultAddressConnections is how many connections one address may have, unless
	// [WithAddressConnections] says otherwise: two for each of the clients that it may
	// have waiting.
	DefaultAddressConnections = 2 * httptransport.DefaultAddressRequests
)

// crowd keeps connections from taking all files that the process may have open:
// its storage needs some, to write and to reach its database. Most clients have
// one connection that waits and one that is idle. So when three quarters are
// taken, each connection ends with its next answer, and only those that wait
// stay; when a sixteenth is left, or 64, new ones are turned away, and clients go
// to another server. One address may have only some of the connections, and never
// more than are left for the others.
type crowd struct {
	idle      int64          // up to so many connections may be idle
	most      int64          // and so many there may be
	addresses *budget.Budget // connections by address, without guests
	guests    *budget.Budget // guests by address
	logger    *slog.Logger
	refused   prometheus.Counter // connections for which there was no room; nil: nobody asks

	conns    atomic.Int64 // that are files
	refusing atomic.Bool  // it was logged that connections are turned away
	refusals lograte.Events
}

func newCrowd(files, perAddress int64, logger *slog.Logger) *crowd {
	most := files - max(files/16, min(files/4, 64))
	return &crowd{
		idle: most * 4 / 5, most: most, logger: logger,
		addresses: budget.New(most, perAddress), guests: budget.New(maxGuests, maxGuests/2),
	}
}

// isFile reports whether a connection takes a file; one in memory does not.
func isFile(conn net.Conn) bool {
	_, ok := underlying(conn).(syscall.Conn)
	return ok
}

// underlying returns what conn is over: under TLS, or as a guest.
func underlying(conn net.Conn) net.Conn {
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
		return over.NetConn()
	}
	return conn
}

// dense reports whether idle connections must go.
func (c *crowd) dense() bool { return c.conns.Load() > c.idle }

// admit returns a connection as it may come in, nil if not.
func (c *crowd) admit(conn net.Conn) net.Conn {
	if !isFile(conn) {
		return conn
	}
	address := addressOf(conn)
	switch conns := c.conns.Load(); {
	case conns >= c.most:
		if !c.refusing.Swap(true) {
			c.logger.Warn("connections are turned away: the process may not open many more files", "connections", conns)
		}
	case c.addresses.Take(address, 1):
		return conn
	default:
		if others, ok := c.refusals.Log(); ok {
			c.logger.Warn("connections are turned away: one address has as many as it may",
				"address", address, "connections", c.addresses.Held(address), "others", others)
		}
	}
	if c.refused != nil {
		c.refused.Inc()
	}
	if tcp, ok := conn.(*net.TCPConn); ok && c.guests.Take(address, 1) {
		return guest{tcp}
	}
	return nil
}

func (c *crowd) enter(conn net.Conn) {
	if isFile(conn) {
		c.conns.Add(1)
	}
}

func (c *crowd) leave(conn net.Conn) {
	if !isFile(conn) {
		return
	}
	if _, ok := conn.(guest); ok {
		c.guests.Give(addressOf(conn), 1)
	} else {
		c.addresses.Give(addressOf(conn), 1)
	}
	if c.conns.Add(-1) < c.idle && c.refusing.Load() && c.refusing.Swap(false) {
		c.logger.Info("connections are accepted again")
	}
}

func addressOf(conn net.Conn) string { return budget.Source(conn.RemoteAddr().String()) }

// doorkeeper is a listener that refuses those who are too many.
type doorkeeper struct {
	net.Listener
	crowd *crowd
}

// Accept implements [net.Listener].
func (d doorkeeper) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if in := d.crowd.admit(conn); in != nil {
			return in, nil
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // no more of it than its end
		}
		_ = conn.Close()
	}
}
