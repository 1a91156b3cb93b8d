package namesrv

import (
	"encoding/json"
	"slices"

	diamond "github.com/linnaname/gdiamond"
)

// ServerList is the answer to GET /v1/servers.
type ServerList struct {
	// Instance names the lifetime of a name server: it is random, and another
	// one after each start. Versions of one instance are comparable.
	Instance string   `json:"instance"`
	Version  int64    `json:"version"` // grows with every change of the list
	Servers  []Server `json:"servers"` // in the order of their addresses
}

// Server is one live server.
type Server struct {
	Address string `json:"address"` // host:port
	LeaseMs int64  `json:"leaseMs"` // what remains of its lease, in milliseconds
}

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

// maxInstance is how long an instance's name may be, in bytes.
const maxInstance = 64

// decodeList reads a ServerList that came over the network, and returns it with
// canonical addresses, each once. Errors wrap ErrInvalid or ErrTooLarge.
func decodeList(body []byte) (instance string, version int64, addrs []string, err error) {
	var list ServerList
	if err := json.Unmarshal(body, &list); err != nil {
		return "", 0, nil, diamond.Errorf(diamond.ErrInvalid, "list of servers: not the JSON that it should be")
	}
	if list.Instance == "" || len(list.Instance) > maxInstance || list.Version < 0 {
		return "", 0, nil, diamond.Errorf(diamond.ErrInvalid, "list of servers: no good instance or version")
	}
	if len(list.Servers) > MaxServers {
		return "", 0, nil, diamond.Errorf(diamond.ErrTooLarge, "list of more than %d servers", MaxServers)
	}
	for _, server := range list.Servers {
		addr, err := canonical(server.Address, "")
		if err != nil {
			return "", 0, nil, err
		}
		addrs = append(addrs, addr)
	}
	slices.Sort(addrs)
	return list.Instance, list.Version, slices.Compact(addrs), nil
}
