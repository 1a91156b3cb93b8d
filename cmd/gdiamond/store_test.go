package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A copy is made while a server runs or not, and a store comes back from it.
func TestStore_BackupAndRestore(t *testing.T) {
	data, dir := t.TempDir(), t.TempDir()
	d := standalone(t, data)
	d.must("publish", "g/a", writeFile(t, "one"))
	hot, cold := filepath.Join(dir, "hot"), filepath.Join(dir, "cold")

	out := invoke(t, "backup", data, hot)
	require.Equal(t, exitOK, out.code, out.stderr)
	d.must("publish", "g/a", writeFile(t, "two"))
	info, err := os.Stat(hot)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	out = invoke(t, "backup", data, hot)
	assert.Equal(t, exitError, out.code, "no backup is overwritten")

	code, _ := d.terminate()
	require.Equal(t, exitOK, code)
	out = invoke(t, "backup", data, cold)
	require.Equal(t, exitOK, out.code, out.stderr)

	for name, want := range map[string]string{hot: "one", cold: "two"} {
		restored := filepath.Join(t.TempDir(), "restored")
		out = invoke(t, "restore", name, restored)
		require.Equal(t, exitOK, out.code, out.stderr)
		assert.Contains(t, out.stdout, ", generation ")
		assert.Equal(t, exitError, invoke(t, "restore", name, restored).code, "no store is overwritten")
		assert.Equal(t, want, standalone(t, restored).must("get", "g/a"))
	}
}

// A killed server leaves its socket; that keeps neither it nor a backup from working.
func TestStore_BackupAfterKill(t *testing.T) {
	data := t.TempDir()
	d := standalone(t, data)
	d.must("publish", "g/a", writeFile(t, "one"))
	d.kill()
	require.Equal(t, exitOK, invoke(t, "backup", data, filepath.Join(t.TempDir(), "cold")).code)
	standalone(t, data)
	out := invoke(t, "backup", data, "-")
	require.Equal(t, exitOK, out.code, out.stderr)
	assert.Greater(t, len(out.stdout), 4096)
	out = invokeWith(t, out.stdout, nil, "restore", "-", filepath.Join(t.TempDir(), "x"))
	assert.Equal(t, exitOK, out.code, out.stderr)
}

func TestStore_DamagedBackup(t *testing.T) {
	data, dir := t.TempDir(), t.TempDir()
	d := standalone(t, data)
	d.must("publish", "g/a", writeFile(t, strings.Repeat("needle", 1000)))
	name := filepath.Join(dir, "backup")
	require.Equal(t, exitOK, invoke(t, "backup", data, name).code)
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	for what, damaged := range map[string]string{
		"cut off":      string(content[:len(content)/2]),
		"other bytes":  strings.Replace(string(content), "needleneedle", "needleNEEDLE", 1),
		"not a backup": "hello",
		"empty":        "",
	} {
		target := filepath.Join(dir, what)
		out := invoke(t, "restore", writeFile(t, damaged), target)
		assert.Equal(t, exitError, out.code, what)
		assert.Contains(t, out.stderr, "corrupt", what)
		assert.NoFileExists(t, filepath.Join(target, "store.db"))
		out = invoke(t, "check", writeFile(t, damaged))
		assert.Equal(t, exitError, out.code, what)
		assert.Contains(t, out.stdout, "DAMAGED", what)
	}
	out := invoke(t, "check", name)
	assert.Equal(t, exitOK, out.code, "the backup itself is sound: %s", out.stderr)
}

func TestStore_CheckAndCompact(t *testing.T) {
	data := t.TempDir()
	d := standalone(t, data)
	d.must("publish", "g/a", writeFile(t, "one"))
	out := invoke(t, "check", data)
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stderr, "in use")
	code, _ := d.terminate()
	require.Equal(t, exitOK, code)

	out = invoke(t, "check", data)
	require.Equal(t, exitOK, out.code, out.stderr)
	assert.Contains(t, out.stdout, "no damage found")

	// A store that would be no smaller is left as it is; one with free space is not.
	file := filepath.Join(data, "store.db")
	small, err := os.ReadFile(file)
	require.NoError(t, err)
	out = invoke(t, "compact", data)
	require.Equal(t, exitOK, out.code, out.stderr)
	assert.Contains(t, out.stdout, "kept "+data)
	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, small, kept)
	d = standalone(t, data)
	d.must("publish", "g/b", writeFile(t, strings.Repeat("x", 100_000)))
	code, _ = d.terminate()
	require.Equal(t, exitOK, code)
	before, err := os.Stat(file)
	require.NoError(t, err)
	out = invoke(t, "compact", data)
	require.Equal(t, exitOK, out.code, out.stderr)
	assert.Contains(t, out.stdout, "compacted")
	after, err := os.Stat(file)
	require.NoError(t, err)
	assert.Less(t, after.Size(), before.Size())
	assert.Equal(t, "one", standalone(t, data).must("get", "g/a"))

	for _, args := range [][]string{{"check", ""}, {"compact", ""}, {"backup", "", "-"}, {"restore", "-", ""}} {
		assert.Equal(t, exitUsage, invoke(t, args...).code, args)
	}
	// Nothing is made where there is no store.
	empty := filepath.Join(t.TempDir(), "none")
	for _, args := range [][]string{{"check", empty}, {"compact", empty}, {"backup", empty, "-"}} {
		assert.NotEqual(t, exitOK, invoke(t, args...).code, args)
		assert.NoDirExists(t, empty)
	}
}

// Where no socket can be made, as something is in its place, all else works.
func TestStore_NoSocket(t *testing.T) {
	data := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(data, adminSocket, "in the way"), 0o700))
	d := standalone(t, data)
	d.must("publish", "g/a", writeFile(t, "one"))
	assert.Equal(t, "one", d.must("get", "g/a"))
	assert.Contains(t, d.stderr.String(), "no backups while running")
	name := filepath.Join(t.TempDir(), "backup")
	out := invoke(t, "backup", data, name)
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stderr, "gives no backup")
	assert.NoFileExists(t, name)
}

// A data directory may have a longer path than a socket.
func TestStore_LongPath(t *testing.T) {
	data := filepath.Join(t.TempDir(), strings.Repeat("d", 140))
	d := standalone(t, data)
	d.must("publish", "g/a", writeFile(t, "one"))
	name := filepath.Join(t.TempDir(), "backup")
	out := invoke(t, "backup", data, name)
	if runtime.GOOS != "linux" {
		assert.Contains(t, out.stderr, fmt.Sprintf("the system accepts %d", maxSocketPath))
		assert.Contains(t, d.stderr.String(), "no backups while running")
		return
	}
	require.Equal(t, exitOK, out.code, out.stderr)
	out = invoke(t, "restore", name, filepath.Join(t.TempDir(), "x"))
	require.Equal(t, exitOK, out.code, out.stderr)
	info, err := os.Stat(filepath.Join(data, adminSocket))
	require.NoError(t, err)
	assert.Equal(t, os.ModeSocket|0o600, info.Mode())

	// It goes with the server, and one that was left is in nobody's way.
	code, _ := d.terminate()
	require.Equal(t, exitOK, code)
	assert.NoFileExists(t, filepath.Join(data, adminSocket))
	standalone(t, data).kill()
	standalone(t, data)
	out = invoke(t, "backup", data, filepath.Join(t.TempDir(), "again"))
	assert.Equal(t, exitOK, out.code, out.stderr)
}

// Where there is no such way, the error says how long is too long.
func TestSocketTooLong(t *testing.T) {
	path := filepath.Join("/", strings.Repeat("d", 140), adminSocket)
	err := socketTooLong(path)
	assert.ErrorContains(t, err, path)
	assert.ErrorContains(t, err, fmt.Sprintf("has %d bytes", len(path)))
	assert.ErrorContains(t, err, fmt.Sprintf("accepts %d:", maxSocketPath))
}
