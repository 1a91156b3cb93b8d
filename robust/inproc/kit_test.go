package inproc

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/robust/listened"
)

// patience is how long a machine that is busy may take for anything.
const patience = 3 * time.Minute

func eventually(t *testing.T, good func() bool, what string, args ...any) {
	t.Helper()
	require.Eventually(t, good, patience, 20*time.Millisecond, append([]any{what}, args...)...)
}

// publish publishes at a node past all networks between clients and nodes, once,
// however often it has to ask.
func (w *World) publish(t *testing.T, node int, key diamond.Key, content string) diamond.Position {
	t.Helper()
	return w.commit(t, node, diamond.ChangeSet{RequestID: rand.Text(), Drafts: []diamond.Draft{{Key: key, Content: content}}})
}

// commit commits a set that has a request id, as publish does. If the set was
// asked for before, then what became of that is settled too.
func (w *World) commit(t *testing.T, node int, set diamond.ChangeSet) diamond.Position {
	t.Helper()
	var resp *conf.CommitResponse
	var err error
	eventually(t, func() bool {
		resp, err = w.Nodes[node].Server().Commit(t.Context(), &conf.CommitRequest{Set: set})
		return err == nil
	}, "commit")
	return resp.Position
}

type told = listened.Listener

// follow has listeners at keys, with one client.
func (w *World) follow(t *testing.T, number int, keys ...diamond.Key) []*told {
	t.Helper()
	client, err := diamond.NewClient(w.Transport(number), diamond.WithLocalFiles(w.Files(number)))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	var listeners []*told
	for _, key := range keys {
		l := new(told)
		_, err = client.Subscribe(key, l)
		require.NoError(t, err)
		listeners = append(listeners, l)
	}
	return listeners
}
