package namesrv

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

// The default ports of addresses.
const (
	serverPort  = "1210" // in the text form of a list
	namesrvPort = "8080" // in a URL without a scheme
)

// MaxServers is the largest number of servers in a list.
const MaxServers = 10_000

// maxHost is the largest length of a DNS name, in bytes.
const maxHost = 253

// canonical returns the canonical form of addr, a host:port, by which servers are compared. A
// missing port becomes defaultPort, or an error if that is "". Errors wrap ErrInvalid.
func canonical(addr, defaultPort string) (string, error) {
	invalid := func(why string) (string, error) {
		if len(addr) > maxHost {
			addr = addr[:maxHost] + "..."
		}
		return "", conf.Errorf(conf.ErrInvalid, "address %+q: %s", addr, why)
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

// https begins the address of a server that speaks TLS.
const https = "https://"

// serverAddress returns the canonical form of the address of a server: host:port, or
// https://host:port if it speaks TLS. Errors wrap ErrInvalid.
func serverAddress(addr string) (string, error) {
	scheme := ""
	if len(addr) > len(https) && strings.EqualFold(addr[:len(https)], https) {
		scheme, addr = https, addr[len(https):]
	}
	addr, err := canonical(addr, "")
	if err != nil {
		return "", err
	}
	return scheme + addr, nil
}

// splitScheme returns the host:port of a canonical address, and the scheme of the server in a
// list.
func splitScheme(addr string) (hostPort, scheme string) {
	if hostPort, secure := strings.CutPrefix(addr, https); secure {
		return hostPort, schemeTLS
	}
	return addr, ""
}

// hostname reports whether host can be a DNS name.
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
	return strings.Trim(label, "0123456789") != "" // otherwise it is a malformed IPv4 address
}

// parseAddrs reads the text form of a list. It accepts blank lines, carriage returns, a last
// line without its end, and addresses with or without a port. If any line is not an address,
// the text is not a list but, for example, a login page.
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
			return nil, conf.Errorf(conf.ErrTooLarge, "list of more than %d servers", MaxServers)
		}
	}
	return addrs, nil
}

// formatAddrs writes the text form for the original's clients.
func formatAddrs(addrs []string) []byte {
	var b []byte
	for _, addr := range addrs {
		b = append(b, strings.TrimSuffix(addr, ":"+serverPort)...)
		b = append(b, '\n')
	}
	return b
}
