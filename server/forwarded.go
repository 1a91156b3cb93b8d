package server

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// forwarded finds out the address of a client behind trusted proxies.
type forwarded struct{ proxies []netip.Prefix }

// handler passes requests on to next with the address of the client as their RemoteAddr.
func (f *forwarded) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if client := f.client(r); client != r.RemoteAddr {
			r = r.WithContext(r.Context()) // a copy
			r.RemoteAddr = client
		}
		next.ServeHTTP(w, r)
	})
}

// client returns the address of who has sent r: that of the peer or, if the peer is a trusted
// proxy, the last one in X-Forwarded-For that is not. Each proxy appends the address of its
// peer there, so that what stands further left may be made up.
func (f *forwarded) client(r *http.Request) string {
	client := r.RemoteAddr
	if peer, err := netip.ParseAddrPort(client); err != nil || !f.trusts(peer.Addr()) {
		return client
	}
	for _, value := range slices.Backward(r.Header["X-Forwarded-For"]) {
		for more := true; more; {
			hop := value
			if comma := strings.LastIndexByte(value, ','); comma >= 0 {
				value, hop = value[:comma], value[comma+1:]
			} else {
				more = false
			}
			addr, ok := hopOf(strings.TrimSpace(hop))
			if !ok {
				return client // of the proxy that has sent this
			}
			client = netip.AddrPortFrom(addr, 0).String()
			if !f.trusts(addr) {
				return client
			}
		}
	}
	return client
}

func (f *forwarded) trusts(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(f.proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// hopOf returns the address in an element of X-Forwarded-For, which may have a port.
func hopOf(hop string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(hop, "["), "]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(hop)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return addr.Unmap(), addr.Zone() == ""
}
