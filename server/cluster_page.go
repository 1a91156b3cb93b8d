package server

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// clusterPage serves GET /v1/cluster: the state of all servers. Servers that do not answer in
// time are named as missing.
func (n *Node) clusterPage(w http.ResponseWriter, r *http.Request) {
	cluster := conf.Cluster{Nodes: []conf.ClusterNode{n.state()}}
	if n.peers != nil {
		answers, missing, err := n.peers.ask(r.Context(), peerQuery{Cluster: true})
		if err != nil {
			writeError(w, err)
			return
		}
		for _, a := range answers {
			if a.Node != nil {
				a.Node.Node = a.from
				cluster.Nodes = append(cluster.Nodes, *a.Node)
			}
		}
		cluster.Missing, cluster.Partial = missing, len(missing) > 0
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_ = json.NewEncoder(w).Encode(&cluster) // the peer may have gone
}

// state returns the state of this node.
func (n *Node) state() conf.ClusterNode {
	st, build := n.srv.Status(), ReadBuildInfo()
	s := conf.ClusterNode{
		Version: build.Version, GoVersion: build.GoVersion, Started: n.made,
		Ready: st.Ready && !st.Draining && !n.leaving.Load(), Draining: st.Draining || n.leaving.Load(), Mode: n.mode(),
		Generation: st.Position.Epoch.Generation, Revision: st.Position.Revision, Stale: st.Stale, Lag: st.Lag,
		Keys: st.Keys, Polling: st.Waiters, Certificates: n.config.expiries(),
	}
	if name := n.name.Load(); name != nil {
		s.Node = *name
	}
	if text := storageState(&st); text != "ok" {
		s.Storage = text
	}
	if st.Replica != nil {
		s.Replica = &conf.ClusterReplica{Revision: st.Replica.Position.Revision, Problem: problem(st.Replica.Err)}
	}
	if n.registered != nil {
		s.NameServers = make(map[string]string)
		for name, err := range n.registered.status.Registrations() {
			s.NameServers[name] = problem(err)
		}
	}
	if n.peers != nil {
		s.Peers = n.peers.states()
	}
	return s
}

// mode returns how the server decides about rights, or "" if it cannot say now.
func (n *Node) mode() string {
	if server, ok := n.srv.(Governed); ok {
		return server.RightsStatus().Mode
	}
	if decides(n.srv) {
		return ""
	}
	return conf.ModeOpen
}

// problem returns the text of err, which may be nil, in one line.
func problem(err error) string {
	if err == nil {
		return ""
	}
	return oneLine(err)
}

// states returns the known peers by address, each with what is wrong with it, or "".
func (p *peers) states() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	states := make(map[string]string, len(p.members))
	for addr, m := range p.members {
		switch st := m.state.Load(); {
		case st == nil:
			states[addr] = "not nudged yet"
		case !st.self:
			states[addr] = problem(st.err)
		}
	}
	return states
}

// expiries returns when the certificates expire that the node shows now, by their use.
func (c *config) expiries() map[string]time.Time {
	shown := map[string]*tls.Config{"clients": c.tls}
	if c.peerListener != nil {
		shown["peers"] = c.peerListener.tls
	}
	expiries := make(map[string]time.Time)
	for use, tlsConfig := range shown {
		if leaf := leafOf(tlsConfig); leaf != nil {
			expiries[use] = leaf.NotAfter
		}
	}
	return expiries
}
