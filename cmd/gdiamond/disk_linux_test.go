package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A full disk refuses publishes with an error of its own; reads go on, and
// publishes do again once there is space.
func TestD1_S22_L5_DiskFull(t *testing.T) {
	data := t.TempDir()
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("needs to mount a small disk: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(data, syscall.MNT_DETACH)) })
	ballast := filepath.Join(data, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 2<<20), 0o600))
	d := standalone(t, filepath.Join(data, "store"))
	d.must("publish", "first", writeFile(t, "x"))

	block := writeFile(t, strings.Repeat("0123456789abcdef", 100<<10/16))
	var out outcome
	for i := range 40 {
		if out = d.client("publish", fmt.Sprintf("block%d", i), block); out.code != exitOK {
			break
		}
	}
	require.Equal(t, exitError, out.code, "the disk never was full")
	assert.Contains(t, out.stderr, "no space")
	res, err := http.PostForm(d.server+"/diamond-server/publishConfig",
		url.Values{"dataId": {"a"}, "group": {"g"}, "content": {strings.Repeat("x", 100<<10)}})
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, http.StatusInsufficientStorage, res.StatusCode)

	assert.Equal(t, "x", d.must("get", "first"), "reads go on")
	status, _ := httpDo(t, http.MethodGet, d.server+"/readyz")
	assert.Equal(t, http.StatusOK, status, "ready, whatever the storage does")

	// It starts on the full disk too.
	code, _ := d.terminate()
	assert.Equal(t, exitOK, code)
	d = standalone(t, filepath.Join(data, "store"))
	assert.Equal(t, "x", d.must("get", "first"))
	assert.NotEqual(t, exitOK, d.client("publish", "b", block).code)

	require.NoError(t, os.Remove(ballast))
	d.must("publish", "after", block)
	assert.Equal(t, exitNotFound, d.client("get", "g/a").code, "what failed is not there")
	code, _ = d.terminate()
	assert.Equal(t, exitOK, code)
	assert.Equal(t, exitOK, invoke(t, "check", filepath.Join(data, "store")).code)
}

// A disk that was remounted read-only: what writes says that, and not that there
// is no space, and the store can be backed up.
func TestS22_DiskReadOnly(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("needs to mount a small disk: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(disk, syscall.MNT_DETACH)) })
	data := filepath.Join(disk, "data")
	d := standalone(t, data)
	d.must("publish", "g/a", writeFile(t, "x"))
	code, _ := d.terminate()
	require.Equal(t, exitOK, code)
	require.NoError(t, syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))

	for _, args := range [][]string{
		{"server", "--listen", "127.0.0.1:0", "--data", data},
		{"server", "--listen", "127.0.0.1:0", "--data", filepath.Join(disk, "new")},
		{"compact", data},
	} {
		out := invoke(t, args...)
		assert.Equal(t, exitError, out.code, "%v", args)
		assert.Contains(t, out.stderr, "gdiamond: read-only: ", "%v", args)
		assert.NotContains(t, out.stderr, "no space", "%v", args)
	}
	name := filepath.Join(t.TempDir(), "backup")
	out := invoke(t, "backup", data, name)
	require.Equal(t, exitOK, out.code, out.stderr)
	restored := filepath.Join(t.TempDir(), "restored")
	out = invoke(t, "restore", name, restored)
	require.Equal(t, exitOK, out.code, out.stderr)
	assert.Equal(t, "x", standalone(t, restored).must("get", "g/a"))
}
