//go:build unix

package localfile

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond"
)

const writerEnv = "LOCALFILE_TEST_WRITER"

// contentOf is what revision has: long, and different in every part.
func contentOf(revision int64) string {
	return strings.Repeat(fmt.Sprintf("revision %d\n", revision), 500)
}

// TestWriterProcess is no test: it is the process that TestD3 kills.
func TestWriterProcess(t *testing.T) {
	dir := os.Getenv(writerEnv)
	if dir == "" {
		t.Skip("only runs as a process of other tests")
	}
	d := openDir(t, dir)
	for revision := int64(1); ; revision++ {
		require.NoError(t, d.Save(diamond.SlotFetched, snapshot(testKey, revision, contentOf(revision))))
		fmt.Println("saved")
	}
}

// Writers are killed at moments that nobody chose, several at once in one
// directory: what they leave is always one whole version.
func TestD3_KilledWhileSaving(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, dir)
	var last int64
	for round := range campaign(t, 200, 5) {
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWriterProcess$")
				cmd.Env = append(os.Environ(), writerEnv+"="+dir)
				out, err := cmd.StdoutPipe()
				if !assert.NoError(t, err) || !assert.NoError(t, cmd.Start()) {
					return
				}
				lines := bufio.NewScanner(out)
				for range 10 + round {
					lines.Scan()
				}
				assert.NoError(t, cmd.Process.Kill())
				_ = cmd.Wait()
			})
		}
		wg.Wait()
		got, err := d.Load(testKey, diamond.SlotFetched)
		require.NoError(t, err)
		require.Equal(t, contentOf(got.Entry.Revision), got.Entry.Content)
		last = got.Entry.Revision
	}
	assert.Positive(t, last)
}

func TestD2_DiskFull(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("NOT PROVEN HERE: needs a small file system of Linux's")
	}
	dir := filepath.Join(t.TempDir(), "small")
	require.NoError(t, os.Mkdir(dir, 0o700))
	if err := mountSmall(dir); err != nil {
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
			t.Skipf("NOT PROVEN HERE: a small file system cannot be mounted: %v", err)
		}
		require.NoError(t, err)
	}
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(dir, 0)) })
	d, err := Open(dir)
	require.NoError(t, err)
	defer d.Close()

	old := snapshot(testKey, 1, "the old version")
	require.NoError(t, d.Save(diamond.SlotFetched, old))
	for _, size := range []int{128 << 10, 1 << 20} {
		err := d.Save(diamond.SlotFetched, snapshot(testKey, 2, strings.Repeat("x", size)))
		require.ErrorIs(t, err, diamond.ErrNoSpace)
	}
	got, err := d.Load(testKey, diamond.SlotFetched)
	require.NoError(t, err)
	require.Equal(t, old, got, "as it was")
	entries, err := os.ReadDir(filepath.Join(dir, snapshotDir))
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary file takes the little that is left")
	require.NoError(t, d.Save(diamond.SlotFetched, snapshot(testKey, 3, "smaller")), "it recovers")
}
