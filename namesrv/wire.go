package namesrv

import (
	"encoding/json"
	"slices"

	"github.com/linnaname/gdiamond/conf"
)

// ServerList is the answer to GET /v1/servers.
type ServerList struct {
	// Instance identifies a name server until it restarts. It is random. Versions of one
	// instance are comparable.
	Instance string   `json:"instance"`
	Version  int64    `json:"version"` // grows with every change of the list
	Servers  []Server `json:"servers"` // sorted by address
	// Incomplete is set if the name server has just started, so that it may not know all
	// live servers. It stays set for [DefaultLease], or for the longest lease registered
	// since.
	Incomplete bool `json:"incomplete,omitempty"`
}

// Server is one live server.
type Server struct {
	Address string `json:"address"`          // host:port
	Scheme  string `json:"scheme,omitempty"` // "https" if the server speaks TLS, and otherwise ""
	LeaseMs int64  `json:"leaseMs"`          // rest of its lease, in milliseconds
}

// schemeTLS is the scheme of a [Server] that speaks TLS.
const schemeTLS = "https"

// lease is the answer to PUT /v1/servers/{addr}.
type leaseAnswer struct {
	Instance string `json:"instance"`
	Version  int64  `json:"version"`
	Server
}

type errorAnswer struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// maxInstance is the largest length of an instance, in bytes.
const maxInstance = 64

// servers is a list in the form for clients.
type servers struct {
	instance   string // "" in the text form
	version    int64
	incomplete bool
	addrs      []string // canonical, those of servers with TLS with https://
}

// decodeList reads a ServerList from the network, and removes duplicate addresses. Errors wrap
// ErrInvalid or ErrTooLarge.
func decodeList(body []byte) (servers, error) {
	var list ServerList
	if err := json.Unmarshal(body, &list); err != nil {
		return servers{}, conf.Errorf(conf.ErrInvalid, "list of servers: invalid JSON")
	}
	if list.Instance == "" || len(list.Instance) > maxInstance || list.Version < 0 {
		return servers{}, conf.Errorf(conf.ErrInvalid, "list of servers: invalid instance or version")
	}
	if len(list.Servers) > MaxServers {
		return servers{}, conf.Errorf(conf.ErrTooLarge, "list of more than %d servers", MaxServers)
	}
	s := servers{instance: list.Instance, version: list.Version, incomplete: list.Incomplete}
	for _, server := range list.Servers {
		addr, err := canonical(server.Address, "")
		if err != nil {
			return servers{}, err
		}
		switch server.Scheme {
		case "":
		case schemeTLS:
			addr = https + addr
		default: // not to be taken for one without TLS
			return servers{}, conf.Errorf(conf.ErrInvalid, "list of servers: unknown scheme %+.20q", server.Scheme)
		}
		s.addrs = append(s.addrs, addr)
	}
	s.addrs = union(s.addrs)
	return s, nil
}

// union returns the addresses of all lists, sorted and without duplicates.
func union(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}
