package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/storage"
)

// Who is told that a server has started can ask it for a backup.
func TestStore_SocketIsThereFromTheStart(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	logger := slog.New(slog.DiscardHandler)
	s := serving{data: t.TempDir()}
	s.limits.flags(&cobra.Command{})
	s.open = func() (*backend, error) { return embedded(s.data, storage.Retention{}, logger) }
	started := false
	require.NoError(t, s.run(ctx, ln, &access{}, nil, io.Discard, logger, func(string) {
		started = true
		conn, err := net.Dial("unix", filepath.Join(s.data, adminSocket))
		if assert.NoError(t, err) {
			assert.NoError(t, conn.Close())
		}
		stop()
	}))
	assert.True(t, started)
}
