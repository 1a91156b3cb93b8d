package httptransport

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// defaultPort is the port of an address without a scheme: that on which servers listen
// by default.
const defaultPort = "1210"

// parseAddr parses the address of a server, whose form [New] describes.
func parseAddr(addr string) (url.URL, error) {
	full := addr
	if !strings.Contains(addr, "://") {
		full = "http://" + withZone(addr)
	}
	u, err := url.Parse(full)
	why := ""
	switch host, _, _ := strings.Cut(addr, "/"); {
	case addr == "":
		why = "is empty"
	case isIPv6(host):
		why = "an IPv6 address needs brackets, such as [::1]:" + defaultPort
	case err != nil, u.Scheme != "http" && u.Scheme != "https", strings.HasPrefix(u.Path, "//"):
		why = "is neither host:port nor an http URL"
	case u.Hostname() == "":
		why = "has no host, such as 127.0.0.1:" + defaultPort
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		why = "has more than scheme, host, port and path"
	case u.Port() != "" && !isPort(u.Port()):
		why = "the port is not a number from 1 to 65535"
	}
	if why != "" {
		shown := addr[strings.LastIndexByte(addr, '@')+1:] // what stands before it is secret
		return url.URL{}, conf.Errorf(conf.ErrInvalid, "address %q: %s", httpserve.Clip(shown), why)
	}
	if full != addr && u.Port() == "" {
		u.Host = strings.TrimSuffix(u.Host, ":") + ":" + defaultPort
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.RawPath = ""
	return *u, nil
}

// withZone returns addr with the zone of an IPv6 address as URLs have it. An address
// that [net.JoinHostPort] makes has it as it is.
func withZone(addr string) string {
	if host, rest, ok := strings.Cut(addr, "%"); ok && strings.HasPrefix(host, "[") && !strings.Contains(host, "]") {
		return host + "%25" + strings.TrimPrefix(rest, "25")
	}
	return addr
}

// isIPv6 reports whether host is an IPv6 address without brackets.
func isIPv6(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Is6()
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}
