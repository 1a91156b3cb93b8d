package cluster

import (
	"context"
	"net"

	"github.com/linnaname/gdiamond/robust/proxy"
)

// Fronted is a [Member] that clients reach only through a front.
type Fronted struct {
	Member
	Front *proxy.Front
}

// Dial opens a connection to the front.
func (f Fronted) Dial(ctx context.Context) (net.Conn, error) {
	return proxy.Loopback{}.Dial(ctx, f.Front.Addr())
}
