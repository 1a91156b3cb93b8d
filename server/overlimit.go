package server

import (
	"context"
	"net"
)

// overLimitConn is a connection above the limit of all connections, or of its address. It
// is admitted for one answer: clients are told to try again later, and a prober that asks
// whether the node is alive must learn that it is, because otherwise the node would be
// restarted for being full. Listeners that do TLS themselves have no such connections.
type overLimitConn struct{ *net.TCPConn }

// NetConn returns the connection below, as the method of a TLS connection does.
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
