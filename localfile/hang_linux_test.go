package localfile

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// A call that hangs in a file holds nothing that the others need.
func TestD6_AFileThatHangsBlocksNoOther(t *testing.T) {
	d := openDir(t, t.TempDir())
	hangs, release, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_ = d.in(false, func(*os.Root) error { close(hangs); <-release; return nil })
	}()
	<-hangs
	_, err := d.Override(testKey)
	require.ErrorIs(t, err, conf.ErrNotFound)
	_, err = d.Load(testKey, conf.SlotFetched)
	require.ErrorIs(t, err, conf.ErrNotFound)
	require.NoError(t, d.Save(conf.SlotFetched, snapshot(testKey, 1, "y")))
	_, err = d.ClientID()
	require.NoError(t, err)
	require.NoError(t, d.Close())
	close(release)
	<-ended
}

func TestD2_AReadOnlyDirectoryOfOverridesIsOpened(t *testing.T) {
	mount := t.TempDir()
	if err := mountSmall(mount); err != nil {
		t.Skipf("NOT PROVEN HERE: a small file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(mount, 0)) })
	path := filepath.Join(mount, overrideDir, testKey.Namespace, testKey.Group, testKey.DataID)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o644))
	age(t, path)
	require.NoError(t, makeReadOnly(mount))
	d := openDir(t, mount)
	got, err := d.Override(testKey)
	require.NoError(t, err)
	assert.Equal(t, "mine", got)
	require.Error(t, d.Save(conf.SlotFetched, snapshot(testKey, 1, "y")))
	require.NoError(t, d.Close())
}

func TestWritableByAll(t *testing.T) {
	for _, c := range []struct {
		goos string
		mode os.FileMode
		want bool
	}{
		{"linux", 0o644, false}, {"linux", 0o666, true}, {"darwin", 0o602, true}, {"darwin", 0o660, false},
		{"windows", 0o666, false}, {"windows", 0o444, false},
	} {
		assert.Equal(t, c.want, writableByAll(c.goos, c.mode), "%s %v", c.goos, c.mode)
	}
}
