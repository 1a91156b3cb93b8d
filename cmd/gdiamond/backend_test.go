package main

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage/boltstore"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// A server that is started without its --mysql would go on with a history of
// its own under the database's name, and be believed.
func TestBackend_ACopyOfADatabaseIsNoStore(t *testing.T) {
	ctx := t.Context()
	shared := memstore.New() // stands for the database
	defer shared.Close()
	_, err := shared.Commit(ctx, []diamond.ChangeSet{{Drafts: []diamond.Draft{{Key: diamond.NewKey("", "linna"), Content: "x"}}}})
	require.NoError(t, err)
	batch, err := shared.Changes(ctx, diamond.Position{}, 1<<20)
	require.NoError(t, err)

	dir := filepath.Join(t.TempDir(), "data")
	local, err := boltstore.Open(dir)
	require.NoError(t, err)
	require.NoError(t, local.Apply(ctx, slices.Clone(batch.Changes), batch.Position))
	require.NoError(t, local.Close())

	for _, command := range []string{"server", "standalone"} {
		args := []string{command, "--listen", "127.0.0.1:0", "--data", dir}
		if command == "standalone" {
			args = append(args, "--namesrv-listen", "127.0.0.1:0")
		}
		out := invoke(t, args...)
		assert.Equal(t, exitUsage, out.code, out.stderr)
		assert.Contains(t, out.stderr, "--mysql")
		assert.Contains(t, out.stderr, dir)
	}

	// What the message advises: a store for good, with a history of its own.
	backup, store := filepath.Join(t.TempDir(), "file"), filepath.Join(t.TempDir(), "store")
	require.Equal(t, exitOK, invoke(t, "backup", dir, backup).code)
	require.Equal(t, exitOK, invoke(t, "restore", backup, store).code)
	d := start(t, "server", "--listen", "127.0.0.1:0", "--data", store)
	assert.Equal(t, "x", d.must("get", "linna"))
	d.clientWith("y", "publish", "linna")
	assert.Equal(t, "y", d.must("get", "linna"))
}
