package server

import (
	"context"
	"fmt"
	"net"
	"time"
)

// keepAlive finds peers that have gone without closing their connections within a
// minute, so that parked polls of lost clients do not pile up.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 3}

func (c *config) listen(ctx context.Context) (net.Listener, error) {
	ln := c.listener
	if ln == nil {
		var err error
		var lc net.ListenConfig
		if ln, err = lc.Listen(ctx, "tcp", c.address); err != nil {
			return nil, fmt.Errorf("server: %w", err)
		}
	}
	return keepAliveListener{ln}, nil
}

// keepAliveListener sets keepAlive on the connections of any listener.
type keepAliveListener struct{ net.Listener }

func (l keepAliveListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := underlying(conn).(*net.TCPConn); ok {
		// If the connection is broken already, its first read says so.
		_ = tcp.SetKeepAliveConfig(keepAlive)
	}
	return conn, nil
}

// advertised returns the address at which clients reach ln.
func (c *config) advertised(ln net.Listener) (string, error) {
	if c.advertise != "" {
		if _, _, err := net.SplitHostPort(c.advertise); err != nil {
			return "", fmt.Errorf("server: advertised address: %w", err)
		}
		return c.advertise, nil
	}
	addr := ln.Addr().String()
	if tcp, ok := ln.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return "", fmt.Errorf("server: listening on %s names no host that clients could use; give an address to advertise", addr)
	}
	return addr, nil
}
