//go:build unix

package localfile

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
)

func TestD6_FileReplacedBySomethingElse(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "victim")
	for what, put := range map[string]func(path string) error{
		"link to a file outside":  func(path string) error { return os.Symlink("/etc/passwd", path) },
		"link to a victim":        func(path string) error { return os.Symlink(outside, path) },
		"link to a file inside":   func(path string) error { return os.Symlink("../"+clientIDFile, path) },
		"dangling link":           func(path string) error { return os.Symlink("nowhere", path) },
		"link to itself":          func(path string) error { return os.Symlink(filepath.Base(path), path) },
		"FIFO":                    func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"directory":               func(path string) error { return os.Mkdir(path, 0o700) },
		"directory with contents": func(path string) error { return os.MkdirAll(filepath.Join(path, "a", "b"), 0o700) },
	} {
		t.Run(what, func(t *testing.T) {
			require.NoError(t, os.WriteFile(outside, []byte("untouched"), 0o600))
			d := openDir(t, t.TempDir())
			_, err := d.ClientID()
			require.NoError(t, err)
			path := snapshotPath(d, testKey, conf.SlotFetched)

			require.NoError(t, put(path))
			_, err = d.Load(testKey, conf.SlotFetched)
			require.ErrorIs(t, err, conf.ErrCorrupt)
			_, err = d.Load(testKey, conf.SlotFetched)
			require.ErrorIs(t, err, conf.ErrNotFound)

			for range 2 { // the second time something is in the way of setting it aside
				require.NoError(t, os.RemoveAll(path))
				require.NoError(t, put(path))
				require.NoError(t, d.Save(conf.SlotFetched, snapshot(testKey, 1, "saved")))
				got, err := d.Load(testKey, conf.SlotFetched)
				require.NoError(t, err)
				require.Equal(t, "saved", got.Entry.Content)
			}
			require.Equal(t, "untouched", read(t, outside))
		})
	}
}

func TestD6_DirectoryDeletedAtRunTime(t *testing.T) {
	for what, path := range map[string]string{"all of it": "", "the snapshots": snapshotDir} {
		t.Run(what, func(t *testing.T) {
			d := openDir(t, filepath.Join(t.TempDir(), "dir"))
			require.NoError(t, d.Save(conf.SlotFetched, snapshot(testKey, 1, "x")))
			require.NoError(t, os.RemoveAll(filepath.Join(d.path, path)))
			_, err := d.Load(testKey, conf.SlotFetched)
			require.ErrorIs(t, err, conf.ErrNotFound)
			require.NoError(t, d.Remove(testKey))
			require.NoError(t, d.Save(conf.SlotFetched, snapshot(testKey, 2, "again")))
			got, err := d.Load(testKey, conf.SlotFetched)
			require.NoError(t, err)
			require.Equal(t, "again", got.Entry.Content)
		})
	}
}

func TestD6_DirectoryReplacedByAnother(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	d := openDir(t, dir)
	other := openDir(t, filepath.Join(t.TempDir(), "dir"))
	require.NoError(t, other.Save(conf.SlotFetched, snapshot(testKey, 1, "other")))
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, os.Rename(other.path, dir))
	got, err := d.Load(testKey, conf.SlotFetched)
	require.NoError(t, err)
	require.Equal(t, "other", got.Entry.Content)
}

func TestD6_DirectoryReplacedByALink(t *testing.T) {
	for what, name := range map[string]string{"all of it": "", "the snapshots": snapshotDir} {
		t.Run(what, func(t *testing.T) {
			outside := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(outside, fileName(testKey, conf.SlotFetched)), []byte("bait"), 0o600))
			d := openDir(t, filepath.Join(t.TempDir(), "dir"))
			path := filepath.Join(d.path, name)
			require.NoError(t, os.RemoveAll(path))
			require.NoError(t, os.Symlink(outside, path))

			before := paths(t, outside)
			require.Error(t, d.Save(conf.SlotFetched, snapshot(testKey, 1, "x")))
			_, err := d.Load(testKey, conf.SlotFetched)
			require.Error(t, err)
			assert.NotErrorIs(t, err, conf.ErrCorrupt)
			_ = d.Remove(testKey)
			require.Equal(t, before, paths(t, outside), "nothing was written there, or taken away")
			require.Equal(t, "bait", read(t, filepath.Join(outside, fileName(testKey, conf.SlotFetched))))
		})
	}
}

func TestX12_LinkSwapRace(t *testing.T) {
	outside := t.TempDir()
	d := openDir(t, t.TempDir())
	snapshots := filepath.Join(d.path, snapshotDir)
	swap := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for range swap {
			// Errors do not matter: a save may have made the directory in between.
			_ = os.RemoveAll(snapshots)
			_ = os.Symlink(outside, snapshots)
			_ = os.Remove(snapshots)
			_ = os.Mkdir(snapshots, 0o700)
		}
	})
	saved := 0
	for range campaign.Scale(t, 500, 10_000) {
		swap <- struct{}{}
		// Whether it works is a matter of the moment, where it works is not.
		if d.Save(conf.SlotFetched, snapshot(testKey, 1, "x")) == nil {
			saved++
		}
		_, _ = d.Load(testKey, conf.SlotFetched)
	}
	close(swap)
	wg.Wait()
	t.Logf("%d were saved", saved)
	assert.Equal(t, []string{outside}, paths(t, outside))
}
