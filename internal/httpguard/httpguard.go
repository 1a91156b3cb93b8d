// Package httpguard tells who may be behind an HTTP request: a web page, somebody
// on this machine.
package httpguard

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Hosts are host names by which a server is to be called, beside those that no
// web page can have resolved to it: IP addresses, localhost and names below it.
// The zero Hosts has no others. It must not be changed while it is used.
type Hosts struct {
	names map[string]bool // lower case
	all   bool
}

// Add adds names, without port; "*" stands for all.
func (h *Hosts) Add(names ...string) {
	for _, name := range names {
		if name == "*" {
			h.all = true
		}
		if h.names == nil {
			h.names = make(map[string]bool)
		}
		h.names[plain(name)] = true
	}
}

// Allow reports whether host, a Host header, is one of h.
func (h *Hosts) Allow(host string) bool {
	if host == "" || h.all {
		return true // browsers always send one
	}
	if _, err := netip.ParseAddrPort(host); err == nil {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	name := plain(host)
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || h.names[name]
}

func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// FromThisMachine reports whether r comes from this machine, and not through a
// proxy on it.
func FromThisMachine(r *http.Request) bool {
	if !Loopback(r.RemoteAddr) {
		return false
	}
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if len(r.Header[name]) > 0 {
			return false
		}
	}
	return true
}

// Loopback reports whether addr, an address with port, is this machine's own.
func Loopback(addr string) bool {
	ap, err := netip.ParseAddrPort(addr)
	return err == nil && ap.Addr().Unmap().IsLoopback()
}
