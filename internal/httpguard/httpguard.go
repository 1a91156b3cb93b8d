// Package httpguard detects HTTP requests of web pages, and of callers on this machine.
package httpguard

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Hosts are the host names by which a server may be called, in addition to those that no web
// page can make resolve to it: IP addresses, localhost and names below it. The zero Hosts
// has no additional ones. It must not be changed while it is used.
type Hosts struct {
	names map[string]bool // lower case; "*.example.com" stands for all below it
	all   bool
}

// Add adds names without a port, and trims white space. "*" matches all names, and
// "*.example.com" all names below example.com. A name that [CheckHost] refuses matches
// nothing.
func (h *Hosts) Add(names ...string) {
	for _, name := range names {
		name = strings.TrimSpace(name)
		if name == "*" {
			h.all = true
		}
		if h.names == nil {
			h.names = make(map[string]bool)
		}
		h.names[plain(name)] = true
	}
}

// CheckHost returns an error if name cannot match any host for [Hosts.Add]. It must be a host
// name, "*" or "*.NAME", and not a URL, port or address.
func CheckHost(name string) error {
	switch {
	case name == "*":
		return nil
	case strings.Contains(name, "://"):
		return errors.New("is a URL; give the host name alone")
	case strings.ContainsAny(name, ":/"):
		return errors.New("is not a host name; give it without port or path, IP addresses are always allowed")
	}
	for label := range strings.SplitSeq(strings.TrimPrefix(strings.TrimSuffix(name, "."), "*."), ".") {
		if label == "" || strings.ContainsFunc(label, notOfHostName) {
			return errors.New("is not a host name, nor * for all, nor *.NAME for all below a name")
		}
	}
	return nil
}

func notOfHostName(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	return !letter && (r < '0' || r > '9') && r != '-' && r != '_'
}

// Allow reports whether host, a Host header, is allowed.
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
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || h.names[name] || h.below(name)
}

// below reports whether name is below one that was added with "*.".
func (h *Hosts) below(name string) bool {
	for _, rest, more := strings.Cut(name, "."); more; _, rest, more = strings.Cut(rest, ".") {
		if h.names["*."+rest] {
			return true
		}
	}
	return false
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
