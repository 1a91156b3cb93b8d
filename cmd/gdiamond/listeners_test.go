package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// The commands show who listens to a key, who polls, and how the servers are.
func TestListenersClientsAndCluster(t *testing.T) {
	d := standalone(t, t.TempDir())
	out := d.clientWith("{}", "publish", "limits")
	require.Equal(t, exitOK, out.code, out.stderr)
	wire, err := httptransport.New(d.server)
	require.NoError(t, err)
	t.Cleanup(wire.Close)
	key := conf.NewKey("", "limits")
	client := conf.ClientInfo{ID: "c1", App: "pay", Version: "7", Labels: map[string]string{"zone": "eu"}}
	_, err = wire.Poll(t.Context(), &conf.PollRequest{Client: client, Set: conf.HashKeys([]conf.Key{key}), Keys: []conf.Key{key}})
	require.NoError(t, err)
	_, err = wire.Report(t.Context(), &conf.ReportRequest{Client: client, Reports: []conf.Report{{Key: key, Revision: 1, Reason: "panic"}}})
	require.NoError(t, err)

	var listeners listenersOut
	require.NoError(t, json.Unmarshal([]byte(d.must("listeners", "limits", "-o", "json")), &listeners))
	require.Len(t, listeners.Listeners, 1)
	l := listeners.Listeners[0]
	assert.Equal(t, []any{"c1", "pay", "7", "anonymous", client.Labels, "rejected", "panic", int64(1)}, []any{l.ID, l.App, l.Version, l.Principal, l.Labels, l.State, l.Reason, l.Reported})
	assert.Equal(t, map[string]int{"rejected": 1}, listeners.States)
	assert.False(t, listeners.Partial)
	text := d.must("listeners", "limits")
	assert.Contains(t, text, "CLIENT  APP  VERSION")
	assert.Contains(t, text, "rejected")
	assert.NotContains(t, d.must("listeners", "other"), "c1")

	var clients clientsOut
	require.NoError(t, json.Unmarshal([]byte(d.must("clients", "-o", "json")), &clients))
	require.Len(t, clients.Clients, 1)
	assert.Equal(t, 1, clients.Clients[0].Keys)
	assert.Contains(t, d.must("clients", "--of", "public"), "c1")
	assert.NotContains(t, d.must("clients", "--of", "other"), "c1")
	assert.Contains(t, d.must("clients", "-o", "yaml"), "id: c1")

	var state conf.Cluster
	require.NoError(t, json.Unmarshal([]byte(d.must("cluster", "-o", "json")), &state))
	require.Len(t, state.Nodes, 1)
	assert.True(t, state.Nodes[0].Ready)
	assert.EqualValues(t, 1, state.Nodes[0].Revision)
	assert.Contains(t, d.must("cluster"), "yes")
}
