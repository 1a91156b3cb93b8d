package boltstore

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// smallDisk mounts a file system of size bytes and returns its directory.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprint("size=", size)); err != nil {
		t.Skipf("NOT PROVED HERE: cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	return dir
}

// S22: a full disk. Publishing fails with ErrNoSpace and does nothing, reads go
// on, and it recovers without a new start when space is free again.
func TestS22_DiskFull(t *testing.T) {
	disk := smallDisk(t, 2<<20)
	ballast := filepath.Join(disk, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 1<<20), 0o600))
	dir := filepath.Join(disk, "data")
	s, err := Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	set := func(i int) conf.ChangeSet {
		return put(fmt.Sprint("k", i%5), fmt.Sprint(i, strings.Repeat("x", 20_000)))
	}
	fillUp := func(from int) int {
		for i := from; ; i++ {
			_, err := s.Commit(t.Context(), []conf.ChangeSet{set(i)})
			if err != nil {
				require.ErrorIs(t, err, conf.ErrNoSpace)
				require.ErrorContains(t, err, dir)
				return i
			}
		}
	}
	full := fillUp(0)
	require.Positive(t, full)
	before, err := dump(t.Context(), s)
	require.NoError(t, err)
	for range 20 {
		_, err = s.Commit(t.Context(), []conf.ChangeSet{set(full)})
		require.ErrorIs(t, err, conf.ErrNoSpace)
	}
	after, err := dump(t.Context(), s)
	require.NoError(t, err, "reads go on")
	require.Equal(t, before, after)

	require.NoError(t, os.Remove(ballast))
	require.EqualValues(t, full+1, commit(t, s, set(full)).Revision)
	again := fillUp(full + 1)
	require.Greater(t, again, full+10, "the space that was freed is used")

	// A new start on the full disk.
	require.NoError(t, s.Close())
	require.Equal(t, again, sound(t, dir).Changes)
	s, err = Open(dir)
	require.NoError(t, err)
	_, err = dump(t.Context(), s)
	require.NoError(t, err)
	_, _, err = Compact(t.Context(), filepath.Join(disk, "none"))
	require.ErrorIs(t, err, conf.ErrNotFound)
}

// S22: what needs space that is not there leaves nothing behind.
func TestS22_NoSpaceForCopies(t *testing.T) {
	disk := smallDisk(t, 1<<20)
	dir := filepath.Join(disk, "data")
	s, err := Open(dir)
	require.NoError(t, err)
	commit(t, s, put("a", strings.Repeat("x", 300_000)))
	backup, err := os.Create(filepath.Join(t.TempDir(), "backup"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, backup.Close()) })
	require.NoError(t, s.Backup(t.Context(), backup))
	require.NoError(t, s.Close())
	ballast := filepath.Join(disk, "ballast")
	require.ErrorIs(t, os.WriteFile(ballast, make([]byte, 1<<20), 0o600), syscall.ENOSPC)
	info, err := os.Stat(ballast)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(ballast, info.Size()-100_000))

	_, _, err = Compact(t.Context(), dir)
	require.ErrorIs(t, err, conf.ErrNoSpace)
	_, err = backup.Seek(0, 0)
	require.NoError(t, err)
	_, err = Restore(t.Context(), filepath.Join(disk, "restored"), backup)
	require.ErrorIs(t, err, conf.ErrNoSpace)
	for _, d := range []string{"data", "restored"} {
		names, err := os.ReadDir(filepath.Join(disk, d))
		require.NoError(t, err)
		for _, n := range names {
			require.Equal(t, fileName, n.Name(), "in %s", d)
		}
	}
	sound(t, dir)
}

// S22: a disk that was remounted read-only. An open file keeps a file system
// from being remounted, so a store that is open then is not proved here but by
// the errors given in TestDefect_S8_FailedPublishChangesNothing.
func TestS22_ReadOnly(t *testing.T) {
	disk := smallDisk(t, 1<<20)
	dir := filepath.Join(disk, "data")
	s, err := Open(dir)
	require.NoError(t, err)
	commit(t, s, put("a", "x"))
	require.NoError(t, s.Close())
	remount := func(flags uintptr) { require.NoError(t, syscall.Mount("", disk, "", syscall.MS_REMOUNT|flags, "")) }
	remount(syscall.MS_RDONLY)
	_, err = Open(dir)
	require.ErrorIs(t, err, conf.ErrNoSpace)
	require.ErrorContains(t, err, "diamond: read-only: ")
	_, err = Open(filepath.Join(disk, "new"))
	require.ErrorIs(t, err, conf.ErrNoSpace)
	_, _, err = Compact(t.Context(), dir)
	require.ErrorIs(t, err, conf.ErrNoSpace)
	require.ErrorContains(t, err, "diamond: read-only: ")
	require.Equal(t, 1, sound(t, dir).Changes, "it can be checked")
	r := open(t, dir, WithReadOnly())
	var backup bytes.Buffer
	require.NoError(t, r.Backup(t.Context(), &backup), "and copied")
	require.NoError(t, r.Close())
	_, err = Restore(t.Context(), filepath.Join(t.TempDir(), "restored"), &backup)
	require.NoError(t, err)
	remount(0)
	s, err = Open(dir)
	require.NoError(t, err)
	commit(t, s, put("a", "y"))
	require.NoError(t, s.Close())
}

// A file that may not grow, by a limit of the process: EFBIG.
func TestS22_FileTooLarge(t *testing.T) {
	if r, dir := role(); r == "limited" {
		limited(t, dir)
		return
	}
	out, err := child(t, t.Name(), "limited", t.TempDir()).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
