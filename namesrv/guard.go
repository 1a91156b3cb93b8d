package namesrv

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	diamond "github.com/linnaname/gdiamond"
)

// guard says who may change the list.
//
// This is the place of a shared secret, when there is one: a request that
// proves it would pass instead of those from loopback.
type guard struct {
	insecure bool
	hosts    map[string]bool // lower case
	origin   *http.CrossOriginProtection
}

// check refuses a request that changes something if it must not. Errors wrap ErrDenied.
func (g *guard) check(r *http.Request) error {
	if err := g.origin.Check(r); err != nil {
		return diamond.Errorf(diamond.ErrDenied, "a web page of another origin may not change the list")
	}
	if !g.allowed(r.Host) {
		return diamond.Errorf(diamond.ErrDenied, "host %+.100q is not one by which this name server is to be called", r.Host)
	}
	if !g.insecure && !local(r) {
		return diamond.Errorf(diamond.ErrDenied, "servers register from the name server's own machine, unless it is told to trust its network")
	}
	return nil
}

// allowed reports whether host, a Host header, is no name that a web page could
// have brought to lead here.
func (g *guard) allowed(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") || g.hosts["*"] || g.hosts[host]
}

// local reports whether r comes from this machine, and not through a proxy on it.
func local(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback() &&
		r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("Forwarded") == ""
}
