package conf

import "time"

// Cluster is the state of the servers of a cluster at one moment, as one of them sees it.
type Cluster struct {
	Nodes   []ClusterNode `json:"nodes" yaml:"nodes"`                         // the server that answers first, then the others by address
	Partial bool          `json:"partial" yaml:"partial"`                     // there are missing servers
	Missing []MissingNode `json:"missing,omitempty" yaml:"missing,omitempty"` // servers that are listed and did not say how they are
}

// ClusterNode is the state of one server, in its own words.
type ClusterNode struct {
	Node      string    `json:"node" yaml:"node"`       // the address under which the server that answers knows it
	Version   string    `json:"version" yaml:"version"` // of its program
	GoVersion string    `json:"goVersion" yaml:"goVersion"`
	Started   time.Time `json:"started,omitzero" yaml:"started,omitempty"`

	Ready    bool   `json:"ready" yaml:"ready"` // it serves reads, and is not about to stop
	Draining bool   `json:"draining,omitempty" yaml:"draining,omitempty"`
	Mode     string `json:"mode,omitempty" yaml:"mode,omitempty"` // how it decides about rights: one of the Mode constants; "" if it cannot say

	Generation int64         `json:"generation" yaml:"generation"`               // of the epoch of its position
	Revision   int64         `json:"revision" yaml:"revision"`                   // up to which it has all changes
	Stale      time.Duration `json:"stale,omitempty" yaml:"stale,omitempty"`     // as in ServerStatus, as Lag; in nanoseconds
	Lag        time.Duration `json:"lag,omitempty" yaml:"lag,omitempty"`         //
	Storage    string        `json:"storage,omitempty" yaml:"storage,omitempty"` // what is wrong with its storage, in words
	Keys       int           `json:"keys" yaml:"keys"`                           // that have an entry
	Polling    int           `json:"polling" yaml:"polling"`                     // parked polls and watches

	Replica     *ClusterReplica   `json:"replica,omitempty" yaml:"replica,omitempty"`
	NameServers map[string]string `json:"nameServers,omitempty" yaml:"nameServers,omitempty"` // each at which it registers, with what is wrong, or ""
	Peers       map[string]string `json:"peers,omitempty" yaml:"peers,omitempty"`             // each other server that it knows, with what is wrong, or ""
	// Certificates are the times at which the certificates that it shows expire, by their use:
	// "clients" for the listener for clients, "peers" for that of the other servers.
	Certificates map[string]time.Time `json:"certificates,omitempty" yaml:"certificates,omitempty"`
}

// ClusterReplica is the state of a server's replica.
type ClusterReplica struct {
	Revision int64  `json:"revision" yaml:"revision"`                   // that the replica has reached
	Problem  string `json:"problem,omitempty" yaml:"problem,omitempty"` // in words
}
