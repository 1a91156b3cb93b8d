//go:build unix

package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errCrash = errors.New("crashed")

// crashFiles is the real file system, which stops for ever at its stop-th
// operation (from 1). It remembers what was not synced, so that powerLoss can
// take it back.
type crashFiles struct {
	rootFiles
	t      *testing.T
	stop   int
	ops    []string          // what was asked, in order
	synced map[string][]byte // content on stable storage, by path, of files written here
	undo   []func()          // takes back the directory's changes that were not synced, last first
	lying  bool              // Sync says that it did, and did not
}

func (c *crashFiles) step(op string) error {
	if len(c.ops) >= c.stop {
		return errCrash
	}
	c.ops = append(c.ops, op)
	if len(c.ops) == c.stop {
		return errCrash
	}
	return nil
}

func (c *crashFiles) path(name string) string { return filepath.Join(c.root.Name(), name) }

func (c *crashFiles) create(name string, perm fs.FileMode) (file, error) {
	if err := c.step("create"); err != nil {
		return nil, err
	}
	f, err := c.rootFiles.create(name, perm)
	if err != nil {
		return nil, err
	}
	c.synced[name] = nil
	c.undo = append(c.undo, func() { os.Remove(c.path(name)) })
	return &crashFile{file: f, files: c, name: name}, nil
}

func (c *crashFiles) rename(from, to string) error {
	if err := c.step("rename"); err != nil {
		return err
	}
	old, err := os.ReadFile(c.path(to))
	require.NoError(c.t, err)
	if err := c.rootFiles.rename(from, to); err != nil {
		return err
	}
	c.synced[to] = c.synced[from]
	delete(c.synced, from)
	c.undo = append(c.undo, func() {
		require.NoError(c.t, os.Rename(c.path(to), c.path(from)))
		require.NoError(c.t, os.WriteFile(c.path(to), old, 0o600))
	})
	return nil
}

func (c *crashFiles) remove(name string) error {
	if err := c.step("remove"); err != nil {
		return err
	}
	return c.rootFiles.remove(name)
}

func (c *crashFiles) syncDir(name string) error {
	if err := c.step("sync directory"); err != nil {
		return err
	}
	if !c.lying {
		c.undo = nil
	}
	return c.rootFiles.syncDir(name)
}

// powerLoss takes back what was not synced: the content of files, and, on its
// own, the entries of the directory. File systems do either without the other.
func (c *crashFiles) powerLoss(data, entries bool) {
	if data {
		for name, content := range c.synced {
			require.NoError(c.t, os.WriteFile(c.path(name), content, 0o600))
		}
	}
	if entries {
		for i := len(c.undo) - 1; i >= 0; i-- {
			c.undo[i]()
		}
	}
}

type crashFile struct {
	file
	files   *crashFiles
	name    string
	written []byte
}

func (f *crashFile) Chmod(perm fs.FileMode) error {
	if err := f.files.step("chmod"); err != nil {
		return err
	}
	return f.file.Chmod(perm)
}

func (f *crashFile) Write(data []byte) (int, error) {
	if err := f.files.step("write"); err != nil {
		n, _ := f.file.Write(data[:len(data)/2]) // a write is torn, too
		return n, err
	}
	f.written = append(f.written, data...)
	return f.file.Write(data)
}

func (f *crashFile) Sync() error {
	if err := f.files.step("sync"); err != nil {
		return err
	}
	if !f.files.lying {
		f.files.synced[f.name] = f.written
	}
	return f.file.Sync()
}

func (f *crashFile) Close() error {
	if err := f.files.step("close"); err != nil {
		f.file.Close() // the process is gone, its descriptors with it
		return err
	}
	return f.file.Close()
}

// crash runs one write over old that stops at operation stop, then loses power, and
// returns what a reader finds, and what the write returned.
func crash(t *testing.T, c *crashFiles, stop int, data, entries bool) (string, error) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), []byte("the old version"), 0o600))
	c.t, c.rootFiles, c.stop = t, rootFiles{openRoot(t, dir)}, stop
	c.synced = map[string][]byte{}
	err := write(c, "f", []byte("the new and longer version"), 0o600)
	c.powerLoss(data, entries)
	got, readErr := Read(c.root, "f", 100)
	require.NoError(t, readErr)
	return string(got), err
}

func TestD3_TornWriteAtEverySyscall(t *testing.T) {
	const never = 1 << 20
	whole := &crashFiles{}
	_, err := crash(t, whole, never, true, true)
	require.NoError(t, err)
	require.Equal(t, []string{"create", "chmod", "write", "sync", "close", "rename", "sync directory"}, whole.ops)

	for stop := 1; stop <= len(whole.ops)+1; stop++ {
		for _, lost := range []struct{ data, entries bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
			t.Run(fmt.Sprintf("stop=%d,lost=%+v", stop, lost), func(t *testing.T) {
				got, err := crash(t, &crashFiles{}, stop, lost.data, lost.entries)
				if stop > len(whole.ops) {
					require.NoError(t, err)
					require.Equal(t, "the new and longer version", got, "a write that returned is durable")
					return
				}
				require.ErrorIs(t, err, errCrash)
				require.Contains(t, []string{"the old version", "the new and longer version"}, got)
			})
		}
	}
}

// The test above would see a torn file: where syncs do nothing there is one.
func TestD3_ControlWithoutSyncs(t *testing.T) {
	got, err := crash(t, &crashFiles{lying: true}, 1<<20, true, false)
	require.NoError(t, err)
	assert.Empty(t, got)
}
