package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/robust/listened"
	"github.com/linnaname/gdiamond/robust/proxy"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// newWorld starts a cluster in the test's bubble; it ends with the test.
func newWorld(t *testing.T, clients int, opts ...memstore.Option) *World {
	t.Helper()
	w, err := NewWorld(clients, time.Millisecond, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, w.Close()) })
	return w
}

// client returns a client that is closed at the end of the test.
func (w *World) client(t *testing.T, number int, opts ...diamond.ClientOption) diamond.Client {
	t.Helper()
	client, err := diamond.NewClient(w.Transport(number), opts...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	return client
}

// publish publishes at a node past all networks.
func (w *World) publish(t *testing.T, node int, dataID, content string) diamond.Position {
	t.Helper()
	return w.commit(t, node, diamond.ChangeSet{Drafts: []diamond.Draft{{Key: key(dataID), Content: content}}})
}

func (w *World) commit(t *testing.T, node int, set diamond.ChangeSet) diamond.Position {
	t.Helper()
	resp, err := w.Nodes[node].Server().Commit(t.Context(), &conf.CommitRequest{Set: set})
	require.NoError(t, err)
	return resp.Position
}

// only leaves a client no way but that to one node.
func (w *World) only(client, node int) {
	for i, link := range w.Links[client] {
		link.Set(proxy.Conditions{Refuse: i != node})
		if i != node {
			link.Cut()
		}
	}
}

func key(dataID string) diamond.Key { return diamond.NewKey("", dataID) }

type told = listened.Listener

func follow(t *testing.T, client diamond.Client, dataID string) *told {
	t.Helper()
	l := new(told)
	_, err := client.Subscribe(key(dataID), l)
	require.NoError(t, err)
	return l
}
