package server

import (
	"context"
	"net"
)

// guest is a connection for which there is no room, or none for its address, and
// which is let in for one answer: who asks whether the node is alive must learn that
// it is, lest it be restarted for being full; who asks for configurations is told to
// come back later. A listener's own TLS has no guests.
type guest struct{ *net.TCPConn }

// NetConn returns the connection itself, as that of TLS does.
func (g guest) NetConn() net.Conn { return g.TCPConn }

// guestKey is the context key of requests that come over a guest.
type guestKey struct{}

// markGuest is an [http.Server.ConnContext].
func markGuest(ctx context.Context, conn net.Conn) context.Context {
	if _, ok := conn.(guest); ok {
		return context.WithValue(ctx, guestKey{}, true)
	}
	return ctx
}

func isGuest(ctx context.Context) bool { return ctx.Value(guestKey{}) != nil }
