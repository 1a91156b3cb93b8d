package httptransport

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	diamond "github.com/linnaname/gdiamond"
)

// guard keeps web pages from using a server through their visitor's browser.
type guard struct {
	origin *http.CrossOriginProtection
	names  map[string]bool // lower case
	all    bool
}

func (g *guard) allow(names []string) {
	for _, name := range names {
		if name == "*" {
			g.all = true
		}
		g.names[strings.ToLower(strings.TrimSuffix(name, "."))] = true
	}
}

// check refuses r when a web page could be behind it. mutates says whether r
// changes something.
func (g *guard) check(r *http.Request, mutates bool) error {
	if mutates {
		if err := g.origin.Check(r); err != nil {
			return diamond.Errorf(diamond.ErrDenied, "request comes from a web page of another origin")
		}
	}
	if g.hostAllowed(r.Host) || !mutates && !onLoopback(r) {
		return nil
	}
	return diamond.Errorf(diamond.ErrDenied, "host: %q is not a name that this server is told to answer to", clip(r.Host))
}

func (g *guard) hostAllowed(host string) bool {
	if host == "" || g.all {
		return true // browsers always send one
	}
	if _, err := netip.ParseAddrPort(host); err == nil {
		return true
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return true
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || g.names[name]
}

// onLoopback reports whether r came in over a loopback connection.
func onLoopback(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	ap, err := netip.ParseAddrPort(addr.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}
