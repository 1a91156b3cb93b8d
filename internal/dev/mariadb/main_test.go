package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

// The command has a server while it runs, and no longer; its exit code is passed on.
func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dsn")
	t.Setenv("FILE", file)
	t.Setenv(mariadbtest.EnvDSN, "")
	code, err := run("sh", []string{"-c", `printf %s "$` + mariadbtest.EnvDSN + `" > "$FILE"; exit 7`})
	require.NoError(t, err)
	require.Equal(t, 7, code)
	dsn, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(dsn), "@tcp(127.0.0.1:")
	require.Error(t, mariadbtest.Connect(t, string(dsn)).PingContext(t.Context()), "the server is stopped")

	t.Setenv(mariadbtest.EnvDSN, "mine")
	code, err = run("sh", []string{"-c", `test "$` + mariadbtest.EnvDSN + `" = mine`})
	require.NoError(t, err)
	require.Zero(t, code)
	_, err = run(filepath.Join(t.TempDir(), "missing"), nil)
	require.Error(t, err)
}
