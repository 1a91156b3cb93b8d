package localfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// mountSmall mounts a file system of 64 KiB at dir.
func mountSmall(dir string) error { return syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k") }

// makeReadOnly makes what mountSmall mounted read-only.
func makeReadOnly(dir string) error {
	return syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
}

func TestD2_DiskFull(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "small")
	require.NoError(t, os.Mkdir(dir, 0o700))
	if err := mountSmall(dir); err != nil {
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
			t.Skipf("NOT PROVEN HERE: a small file system cannot be mounted: %v", err)
		}
		require.NoError(t, err)
	}
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(dir, 0)) })
	d := openDir(t, dir)

	old := snapshot(testKey, 1, "the old version")
	require.NoError(t, d.Save(conf.SlotFetched, old))
	for _, size := range []int{128 << 10, 1 << 20} {
		err := d.Save(conf.SlotFetched, snapshot(testKey, 2, strings.Repeat("x", size)))
		require.ErrorIs(t, err, conf.ErrNoSpace)
	}
	got, err := d.Load(testKey, conf.SlotFetched)
	require.NoError(t, err)
	require.Equal(t, old, got, "as it was")
	entries, err := os.ReadDir(filepath.Join(dir, snapshotDir))
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary file takes the little that is left")
	smaller := snapshot(testKey, 3, "smaller")
	require.NoError(t, d.Save(conf.SlotFetched, smaller), "it recovers")

	require.NoError(t, makeReadOnly(dir))
	require.ErrorIs(t, d.Save(conf.SlotFetched, old), conf.ErrNoSpace)
	got, err = openDir(t, dir).Load(testKey, conf.SlotFetched)
	require.NoError(t, err, "a read-only disk can be read")
	require.Equal(t, smaller, got)
}
