package namesrv

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	diamond "github.com/linnaname/gdiamond"
)

// Ports that an address without one has.
const (
	serverPort  = "1210" // in the text form of a list
	namesrvPort = "8080" // in a URL without a scheme
)

// MaxServers is how many servers a list may hold.
const MaxServers = 10_000

// maxHost is how long a name in the DNS may be, in bytes.
const maxHost = 253

// canonical returns the one way to write addr, a host:port, in which servers
// are compared. A missing port is defaultPort, an error where that is "".
// Errors wrap ErrInvalid.
func canonical(addr, defaultPort string) (string, error) {
	invalid := func(why string) (string, error) {
		if len(addr) > maxHost {
			addr = addr[:maxHost] + "..."
		}
		return "", diamond.Errorf(diamond.ErrInvalid, "address %+q: %s", addr, why)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil && defaultPort != "" && !strings.HasSuffix(addr, ":") {
		host, port, err = strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]"), defaultPort, nil
	}
	if err != nil {
		return invalid("is not host:port")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return invalid("the port is not a number from 1 to 65535")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast() {
			return invalid("is not one at which others can reach a server")
		}
		host = ip.Unmap().String()
	} else if !hostname(host) {
		return invalid("the host is neither an IP address nor a name of letters, digits, '-', '_' and '.'")
	}
	return net.JoinHostPort(strings.ToLower(host), strconv.FormatUint(n, 10)), nil
}

// hostname reports whether host can be a name in the DNS.
func hostname(host string) bool {
	if len(host) > maxHost {
		return false
	}
	var label string
	for label = range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			switch {
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			default:
				return false
			}
		}
	}
	return strings.Trim(label, "0123456789") != "" // else it is a damaged IPv4 address
}

// parseAddrs reads the text form of a list, as tolerantly as it can: blank
// lines, carriage returns, a last line without its end, addresses with a port
// and without. One line that is no address makes the whole something else, such as a login page.
func parseAddrs(body string) ([]string, error) {
	var addrs []string
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		addr, err := canonical(line, serverPort)
		if err != nil {
			return nil, err
		}
		if addrs = append(addrs, addr); len(addrs) > MaxServers {
			return nil, diamond.Errorf(diamond.ErrTooLarge, "list of more than %d servers", MaxServers)
		}
	}
	return addrs, nil
}

// formatAddrs writes what the original's clients read.
func formatAddrs(addrs []string) []byte {
	var b []byte
	for _, addr := range addrs {
		b = append(b, strings.TrimSuffix(addr, ":"+serverPort)...)
		b = append(b, '\n')
	}
	return b
}
