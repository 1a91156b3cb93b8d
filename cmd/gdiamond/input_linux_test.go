package main

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A named pipe that nobody writes to does not keep the program from ending.
func TestInput_NamedPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := input(ctx, nil, pipe)
	require.ErrorIs(t, err, context.Canceled)
	writer, err := os.OpenFile(pipe, os.O_RDWR, 0) // lets go of who still opens it
	require.NoError(t, err)
	require.NoError(t, writer.Close())
}
