//go:build unix

package atomicfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, root.Close()) })
	return root
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestWriteMakesAndReplaces(t *testing.T) {
	dir := t.TempDir()
	root := openRoot(t, dir)
	require.NoError(t, root.Mkdir("sub", 0o700))
	for _, content := range []string{"one", "", strings.Repeat("two", 1<<20)} {
		require.NoError(t, Write(root, "sub/f", []byte(content), 0o600))
		got, err := Read(root, "sub/f", 4<<20)
		require.NoError(t, err)
		require.Equal(t, content, string(got))
	}
	assert.Equal(t, []string{"f"}, names(t, filepath.Join(dir, "sub")), "no temporary file is left")
}

func TestD12_ModeWhateverTheUmask(t *testing.T) {
	for _, umask := range []int{0, 0o077, 0o777} {
		old := syscall.Umask(umask)
		dir := t.TempDir()
		require.NoError(t, os.Chmod(dir, 0o700))
		root := openRoot(t, dir)
		err := Write(root, "f", []byte("x"), 0o600)
		syscall.Umask(old)
		require.NoError(t, err)
		info, err := root.Stat("f")
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o600), info.Mode(), "umask %o", umask)
	}
}

func TestWriteReplacesALinkAndDoesNotFollowIt(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "victim")
	require.NoError(t, os.WriteFile(outside, []byte("untouched"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "f")))
	root := openRoot(t, dir)
	require.NoError(t, Write(root, "f", []byte("new"), 0o600))
	victim, err := os.ReadFile(outside)
	require.NoError(t, err)
	assert.Equal(t, "untouched", string(victim))
	got, err := Read(root, "f", 10)
	require.NoError(t, err)
	assert.Equal(t, "new", string(got))
}

func TestWriteFailsCleanly(t *testing.T) {
	dir := t.TempDir()
	root := openRoot(t, dir)
	require.ErrorIs(t, Write(root, "missing/f", nil, 0o600), fs.ErrNotExist)

	require.NoError(t, root.Mkdir("taken", 0o700))
	require.NoError(t, root.WriteFile("taken/x", nil, 0o600))
	require.Error(t, Write(root, "taken", []byte("x"), 0o600), "a directory is in the way")
	require.ErrorContains(t, Write(root, "../f", []byte("x"), 0o600), "escapes")
	assert.Equal(t, []string{"taken"}, names(t, dir), "no temporary file is left")
}

func TestCleanTakesOnlyStaleTemporaries(t *testing.T) {
	dir := t.TempDir()
	root := openRoot(t, dir)
	for _, name := range []string{tempPrefix + "stale", tempPrefix + "fresh", "old"} {
		require.NoError(t, root.WriteFile(name, nil, 0o600))
	}
	long := time.Now().Add(-2 * time.Hour)
	require.NoError(t, root.Chtimes(tempPrefix+"stale", long, long))
	require.NoError(t, root.Chtimes("old", long, long))
	n, err := Clean(root, ".", time.Hour)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Equal(t, []string{tempPrefix + "fresh", "old"}, names(t, dir))
}

func TestReadTakesRegularFilesOnly(t *testing.T) {
	dir := t.TempDir()
	root := openRoot(t, dir)
	require.NoError(t, root.WriteFile("f", []byte("12345"), 0o600))
	require.NoError(t, os.Symlink("f", filepath.Join(dir, "link")))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "out")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	require.NoError(t, root.Mkdir("d", 0o700))

	for _, name := range []string{"link", "out", "fifo", "d"} {
		_, err := Read(root, name, 10)
		assert.ErrorIs(t, err, ErrNotRegular, name)
	}
	for _, name := range []string{"fifo", "d"} {
		_, _, err := ReadLinked(root, name, 10)
		assert.ErrorIs(t, err, ErrNotRegular, name)
	}
	_, _, err := ReadLinked(root, "out", 1<<20)
	assert.ErrorContains(t, err, "escapes")

	got, info, err := ReadLinked(root, "link", 5)
	require.NoError(t, err)
	assert.Equal(t, "12345", string(got))
	assert.EqualValues(t, 5, info.Size())
	_, err = Read(root, "f", 4)
	assert.ErrorIs(t, err, ErrTooLarge)
	_, err = Read(root, "none", 4)
	assert.ErrorIs(t, err, fs.ErrNotExist)
}

func TestRemoveTakesWhateverIsThere(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	root := openRoot(t, dir)
	require.NoError(t, root.WriteFile("file", nil, 0o600))
	require.NoError(t, root.MkdirAll("d/e", 0o700))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "link")))
	for _, name := range []string{"file", "d", "link", "nothing", "no/where"} {
		require.NoError(t, Remove(root, name), name)
	}
	assert.Empty(t, names(t, dir))
	assert.DirExists(t, outside)
	require.ErrorContains(t, Remove(root, "../x"), "escapes")
}
