package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// typing starts the program with a standard input that does not end.
func typing(t *testing.T, args ...string) (*exec.Cmd, io.Writer, *lockedBuffer) {
	t.Helper()
	cmd := command(context.WithoutCancel(t.Context()), nil, args...)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stderr := new(lockedBuffer)
	cmd.Stderr = stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, stdin, stderr
}

// interrupted sends one SIGINT and returns the exit code.
func interrupted(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(60 * time.Second):
		require.Fail(t, "it goes on reading")
	}
	return cmd.ProcessState.ExitCode()
}

// Ctrl-C ends a command that waits for what somebody types.
func TestInput_Interrupt(t *testing.T) {
	cmd, stdin, stderr := typing(t, "publish", "linna")
	// More than a pipe holds: once all of it is written, it is being read.
	_, err := io.WriteString(stdin, strings.Repeat("x", 1<<20))
	require.NoError(t, err)
	assert.Equal(t, exitError, interrupted(t, cmd))
	assert.Contains(t, stderr.String(), "context canceled")
}

// An interrupted restore leaves nothing behind.
func TestInput_InterruptedRestore(t *testing.T) {
	dir := t.TempDir()
	cmd, stdin, stderr := typing(t, "restore", "-", dir)
	_, err := io.WriteString(stdin, strings.Repeat("x", 1<<20))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		names, _ := filepath.Glob(filepath.Join(dir, "*"))
		return len(names) > 0
	}, time.Minute, time.Millisecond, "it never began")
	assert.Equal(t, exitError, interrupted(t, cmd))
	assert.Contains(t, stderr.String(), "context canceled")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}

// What is too much for any server is refused with the limit that servers have.
func TestInput_TooLarge(t *testing.T) {
	name := writeFile(t, "x")
	require.NoError(t, os.Truncate(name, 40<<20))
	out := invoke(t, "publish", "linna", name)
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stderr, "by default a server accepts 10485760")
}
