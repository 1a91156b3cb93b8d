package server

import (
	"log/slog"
	"net"
	"sync/atomic"
	"syscall"
)

const (
	// manyFiles stands for no limit.
	manyFiles = 1 << 40
	// maxGuests is how many connections are let in at once beyond those that there
	// may be: see [guest].
	maxGuests = 16
)

// crowd keeps connections from taking all files that the process may have open:
// its storage needs some, to write and to reach its database. Most clients have
// one connection that waits and one that is idle. So when three quarters are
// taken, each connection ends with its next answer, and only those that wait
// stay; when a sixteenth is left, or 64, new ones are turned away, and clients go
// to another server.
type crowd struct {
	idle   int64 // up to so many connections may be idle
	most   int64 // and so many there may be
	logger *slog.Logger

	conns    atomic.Int64 // that are files
	refusing atomic.Bool  // it was logged that connections are turned away
}

func newCrowd(files int64, logger *slog.Logger) *crowd {
	most := files - max(files/16, min(files/4, 64))
	return &crowd{idle: most * 4 / 5, most: most, logger: logger}
}

// isFile reports whether a connection takes a file; one in memory does not.
func isFile(conn net.Conn) bool {
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS, or a guest
		conn = over.NetConn()
	}
	_, ok := conn.(syscall.Conn)
	return ok
}

// dense reports whether idle connections must go.
func (c *crowd) dense() bool { return c.conns.Load() > c.idle }

// admit returns a connection as it may come in, nil if not.
func (c *crowd) admit(conn net.Conn) net.Conn {
	over := c.conns.Load() - c.most
	if !isFile(conn) || over < 0 {
		return conn
	}
	if !c.refusing.Swap(true) {
		c.logger.Warn("connections are turned away: the process may not open many more files", "connections", c.conns.Load())
	}
	if tcp, ok := conn.(*net.TCPConn); ok && over < maxGuests {
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
	if isFile(conn) && c.conns.Add(-1) < c.idle && c.refusing.Load() && c.refusing.Swap(false) {
		c.logger.Info("connections are accepted again")
	}
}

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
