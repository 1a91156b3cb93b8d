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
	// unlimitedFiles stands for no limit of open files.
	unlimitedFiles = 1 << 40
	// maxOverLimit is the maximum number of connections above the limit at a time: see
	// [overLimitConn]. No address has more than half of them.
	maxOverLimit = 16
	// DefaultAddressConnections is the default of [WithAddressConnections]: two connections
	// for each of the clients that one address may have waiting.
	DefaultAddressConnections = 2 * httptransport.DefaultAddressRequests
)

// connLimit keeps connections from taking all files that the process may have open:
// its storage needs some, to write and to reach its database. Most clients have
// one connection that waits and one that is idle. So when three quarters of the
// files are taken, each connection ends with its next answer, and only those that
// wait stay. When a sixteenth is left, or 64, new connections are turned away, and
// clients go to another server. One address may have only some of the connections,
// and never more than are left for the others.
type connLimit struct {
	maxIdle   int64          // number of connections above which idle ones are closed
	most      int64          // maximum number of connections
	addresses *budget.Budget // connections by address, without those above the limit
	overLimit *budget.Budget // connections above the limit, by address
	logger    *slog.Logger
	refused   prometheus.Counter // connections that were turned away; may be nil

	conns    atomic.Int64 // connections that take a file
	refusing atomic.Bool  // it was logged that connections are turned away
	refusals lograte.Events
}

func newConnLimit(files, perAddress int64, logger *slog.Logger) *connLimit {
	most := files - max(files/16, min(files/4, 64))
	return &connLimit{
		maxIdle: most * 4 / 5, most: most, logger: logger,
		addresses: budget.New(most, perAddress), overLimit: budget.New(maxOverLimit, maxOverLimit/2),
	}
}

// isFile reports whether a connection takes a file; one in memory does not.
func isFile(conn net.Conn) bool {
	_, ok := underlying(conn).(syscall.Conn)
	return ok
}

// underlying returns the connection below TLS or an overLimitConn.
func underlying(conn net.Conn) net.Conn {
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
		return over.NetConn()
	}
	return conn
}

// nearLimit reports whether idle connections must be closed.
func (c *connLimit) nearLimit() bool { return c.conns.Load() > c.maxIdle }

// admit returns conn, conn as an overLimitConn, or nil if conn is turned away.
func (c *connLimit) admit(conn net.Conn) net.Conn {
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
	if tcp, ok := conn.(*net.TCPConn); ok && c.overLimit.Take(address, 1) {
		return overLimitConn{tcp}
	}
	return nil
}

// opened counts a connection that begins.
func (c *connLimit) opened(conn net.Conn) {
	if isFile(conn) {
		c.conns.Add(1)
	}
}

// closed counts a connection that has ended.
func (c *connLimit) closed(conn net.Conn) {
	if !isFile(conn) {
		return
	}
	if _, ok := conn.(overLimitConn); ok {
		c.overLimit.Give(addressOf(conn), 1)
	} else {
		c.addresses.Give(addressOf(conn), 1)
	}
	if c.conns.Add(-1) < c.maxIdle && c.refusing.Load() && c.refusing.Swap(false) {
		c.logger.Info("connections are accepted again")
	}
}

func addressOf(conn net.Conn) string { return budget.Source(conn.RemoteAddr().String()) }

// limitedListener is a listener that closes the connections that limit turns away.
type limitedListener struct {
	net.Listener
	limit *connLimit
}

// Accept implements [net.Listener].
func (l limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if in := l.limit.admit(conn); in != nil {
			return in, nil
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // so that the kernel keeps no state of the connection
		}
		_ = conn.Close()
	}
}
