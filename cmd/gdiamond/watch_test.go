package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// watched runs a watch of req in the format, while act acts and time passes, and returns
// what it printed.
func watched(t *testing.T, client diamond.Client, f format, req diamond.ChangesRequest, only diamond.Key, act func()) string {
	t.Helper()
	c := connection{output: f}
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.follow(ctx, &out, client, req, only) }()
	synctest.Wait()
	act()
	time.Sleep(2 * time.Minute)
	cancel()
	require.NoError(t, <-ended)
	return out.String()
}

// TestWatch_Position: a watch that nothing matches tells its position when that has moved,
// and a watch from there sees each change once.
func TestWatch_Position(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := diamond.NewServer(memstore.New())
		require.NoError(t, err)
		defer srv.Close()
		client, err := diamond.NewClient(srv)
		require.NoError(t, err)
		defer client.Close()
		publish := func(group, dataID string) diamond.Position {
			position, err := client.Publish(t.Context(), diamond.Draft{Key: diamond.NewKey(group, dataID), Content: "x"})
			require.NoError(t, err)
			return position
		}
		at := publish("g", "k")
		req := diamond.ChangesRequest{After: at, Group: "g"}

		assert.Empty(t, watched(t, client, formatJSON, req, diamond.Key{}, func() {}), "nothing has moved")

		var head diamond.Position
		printed := watched(t, client, formatJSON, req, diamond.Key{}, func() {
			publish("other", "a")
			time.Sleep(time.Second)
			head = publish("other", "b")
		})
		assert.Equal(t, `{"op":"position","position":"`+head.String()+`"}`+"\n", printed, "once, and then no more")

		assert.Equal(t, printed, watched(t, client, formatJSON, req, diamond.Key{}, func() {}), "at once, from an old position")

		req.After = head
		assert.Empty(t, watched(t, client, formatTable, req, diamond.Key{}, func() { head = publish("other", "c") }))
		req.After = head
		var doc reachedOut
		printed = watched(t, client, formatYAML, req, diamond.Key{}, func() { head = publish("other", "d") })
		require.NoError(t, yaml.Unmarshal([]byte(printed), &doc))
		assert.Equal(t, reachedOut{"position", head.String()}, doc)

		req.After, req.Prefix = head, "k"
		printed = watched(t, client, formatJSON, req, diamond.NewKey("g", "k"), func() { head = publish("g", "kk") })
		assert.Equal(t, `{"op":"position","position":"`+head.String()+`"}`+"\n", printed, "another key than the one")

		req.After = head
		printed = watched(t, client, formatJSON, req, diamond.NewKey("g", "k"), func() { head = publish("g", "k") })
		lines := strings.Split(strings.TrimSpace(printed), "\n")
		require.Len(t, lines, 1, "each change once, and no record of a position beside it")
		var change changeOut
		require.NoError(t, json.Unmarshal([]byte(lines[0]), &change))
		assert.Equal(t, []any{"publish", head.Revision, head.String()}, []any{change.Op, change.Revision, change.Position})
	})
}
