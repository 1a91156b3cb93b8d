package httpserve

import (
	"net"
	"net/http"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpguard"
)

// guard keeps web pages from using a server through their visitor's browser.
type guard struct {
	origin *http.CrossOriginProtection
	hosts  httpguard.Hosts
}

// check refuses r if a web page may have sent it. Mutates says whether r changes
// something.
func (g *guard) check(r *http.Request, mutates bool) error {
	if mutates {
		if err := g.origin.Check(r); err != nil {
			return conf.Errorf(conf.ErrDenied, "request comes from a web page of another origin")
		}
	}
	if g.hosts.Allow(r.Host) || !mutates && !onLoopback(r) {
		return nil
	}
	return conf.Errorf(conf.ErrDenied, "host: %q is not an allowed name of this server (allowed-host)", Clip(r.Host))
}

// onLoopback reports whether r came in over a loopback connection.
func onLoopback(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	return httpguard.Loopback(addr.String())
}
