package server

import (
	"context"
	"net"
)

// overLimitConn is a connection above the limit of all connections, or of its
// address. It is let in for one answer: a prober that asks whether the node is alive
// must learn that it is, or the node would be restarted for being full, and clients
// are told to come back later. A listener's own TLS has no such connections.
type overLimitConn struct{ *net.TCPConn }

// NetConn returns the connection itself, as that of TLS does.
func (c overLimitConn) NetConn() net.Conn { return c.TCPConn }

// overLimitKey is the context key of requests over an overLimitConn.
type overLimitKey struct{}

// markOverLimit is an [http.Server.ConnContext].
func markOverLimit(ctx context.Context, conn net.Conn) context.Context {
	if _, ok := conn.(overLimitConn); ok {
		return context.WithValue(ctx, overLimitKey{}, true)
	}
	return ctx
}

func isOverLimit(ctx context.Context) bool { return ctx.Value(overLimitKey{}) != nil }
