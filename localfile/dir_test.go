//go:build unix

package localfile

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/linnaname/gdiamond/conf"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		saveForEver(dir) // until the test whose process this is kills it
	}
	goleak.VerifyTestMain(m)
}

var testKey = conf.Key{Namespace: "public", Group: "DEFAULT_GROUP", DataID: "app.yaml"}

func openDir(t *testing.T, path string, opts ...Option) *Dir {
	t.Helper()
	d, err := Open(path, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, d.Close()) })
	return d
}

// snapshot returns one of key at revision with every field set.
func snapshot(key conf.Key, revision int64, content string) conf.Snapshot {
	at := time.Date(2026, 3, 4, 5, 6, 7, 89000, time.UTC)
	return conf.Snapshot{
		Entry: conf.Entry{
			Key: key, Content: content, Type: "yaml", MD5: conf.MD5Hex(content), Size: int64(len(content)),
			Revision: revision, View: revision + 1, Modified: at, Meta: map[string]string{"owner": "<a&b> \u00e9"},
		},
		Position: conf.Position{
			Store: conf.StoreID{1, 2, 3}, Epoch: conf.Epoch{Generation: 4, ID: [16]byte{5}},
			Revision: revision + 2, Chain: conf.Chain{6},
		},
		Saved: at.Add(time.Hour),
	}
}

func snapshotPath(d *Dir, key conf.Key, slot conf.Slot) string {
	return filepath.Join(d.path, snapshotDir, fileName(key.Canonical(), slot))
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}

func TestSaveLoad(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, dir)
	contents := []string{"", "a: 1\n", "\x00\xff\r\n", strings.Repeat("x", 5<<20)}
	for i, content := range contents {
		want := snapshot(testKey, int64(i+1), content)
		require.NoError(t, d.Save(conf.SlotFetched, want))
		got, err := d.Load(testKey, conf.SlotFetched)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := d.Load(testKey, conf.SlotLastGood)
	require.ErrorIs(t, err, conf.ErrNotFound, "slots are apart")

	gone := conf.Snapshot{Entry: conf.Entry{Key: testKey}, Position: snapshot(testKey, 9, "").Position, Deleted: true}
	require.NoError(t, d.Save(conf.SlotFetched, gone))
	got, err := d.Load(testKey, conf.SlotFetched)
	require.NoError(t, err)
	require.Equal(t, gone, got, "a deletion is kept as one")

	good := snapshot(testKey, 1, "good")
	require.NoError(t, d.Save(conf.SlotLastGood, good))
	d = openDir(t, dir)
	got, err = d.Load(testKey, conf.SlotLastGood)
	require.NoError(t, err, "after a restart")
	require.Equal(t, good, got)

	require.NoError(t, d.Remove(testKey))
	require.NoError(t, d.Remove(testKey), "twice is fine")
	for _, slot := range []conf.Slot{conf.SlotFetched, conf.SlotLastGood} {
		_, err = d.Load(testKey, slot)
		require.ErrorIs(t, err, conf.ErrNotFound)
	}
}

func TestZeroPartsOfAKeyAreItsDefaults(t *testing.T) {
	d := openDir(t, t.TempDir())
	require.NoError(t, d.Save(conf.SlotFetched, snapshot(conf.Key{DataID: "app.yaml"}, 1, "x")))
	got, err := d.Load(testKey, conf.SlotFetched)
	require.NoError(t, err)
	assert.Equal(t, testKey, got.Entry.Key)
}

func TestClientIDIsStable(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, dir)
	id, err := d.ClientID()
	require.NoError(t, err)
	assert.Regexp(t, "^[0-9a-f]{32}$", id)
	again, err := openDir(t, dir).ClientID()
	require.NoError(t, err)
	assert.Equal(t, id, again)

	other, err := openDir(t, t.TempDir()).ClientID()
	require.NoError(t, err)
	assert.NotEqual(t, id, other)

	require.NoError(t, os.WriteFile(filepath.Join(dir, clientIDFile), []byte("damaged"), 0o600))
	fresh, err := openDir(t, dir).ClientID()
	require.NoError(t, err)
	assert.Regexp(t, "^[0-9a-f]{32}$", fresh)
	assert.NotEqual(t, id, fresh)
	assert.Equal(t, "damaged", read(t, filepath.Join(dir, clientIDFile+corruptSuffix)))
}

// What a client keeps is where its application says, whatever the home of its user
// is, and no two applications share it.
func TestDefect_C24_DirectoryOfEachApplication(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	t.Setenv("HOME", home)
	a, b := openDir(t, filepath.Join(t.TempDir(), "a")), openDir(t, filepath.Join(t.TempDir(), "b"))
	require.NoError(t, a.Save(conf.SlotFetched, snapshot(testKey, 1, "mine")))
	_, err := b.Load(testKey, conf.SlotFetched)
	require.ErrorIs(t, err, conf.ErrNotFound)
	require.NoError(t, b.Save(conf.SlotFetched, snapshot(testKey, 2, "theirs")))
	got, err := a.Load(testKey, conf.SlotFetched)
	require.NoError(t, err)
	assert.Equal(t, "mine", got.Entry.Content)
	assert.NoDirExists(t, home)
	t.Setenv("HOME", "")
	require.NoError(t, openDir(t, t.TempDir()).Save(conf.SlotFetched, snapshot(testKey, 1, "x")))
}

func TestClosed(t *testing.T) {
	d := openDir(t, t.TempDir())
	require.NoError(t, d.Close())
	require.NoError(t, d.Close())
	_, err := d.Load(testKey, conf.SlotFetched)
	require.ErrorIs(t, err, conf.ErrClosed)
	require.ErrorIs(t, d.Save(conf.SlotFetched, snapshot(testKey, 1, "")), conf.ErrClosed)
	_, err = d.Override(testKey)
	require.ErrorIs(t, err, conf.ErrClosed)
	require.ErrorIs(t, d.WatchOverrides(t.Context(), func(conf.Key) {}), conf.ErrClosed)
	_, err = d.ClientID()
	require.ErrorIs(t, err, conf.ErrClosed)
}

func TestD12_ModesWhateverTheUmask(t *testing.T) {
	for _, umask := range []int{0, 0o077} {
		dir := filepath.Join(t.TempDir(), "made", "here")
		old := syscall.Umask(umask)
		d, err := Open(dir)
		if err == nil {
			_, err = d.ClientID()
		}
		if err == nil {
			err = d.Save(conf.SlotFetched, snapshot(testKey, 1, "x"))
		}
		syscall.Umask(old)
		require.NoError(t, err)
		defer d.Close()
		require.NoError(t, filepath.WalkDir(filepath.Dir(dir), func(path string, e os.DirEntry, err error) error {
			require.NoError(t, err)
			info, err := e.Info()
			require.NoError(t, err)
			want := os.FileMode(0o600)
			if e.IsDir() {
				want = 0o700
			}
			assert.Equal(t, want, info.Mode().Perm(), path)
			return nil
		}))
	}
}

func TestDefect_C25_NothingOfAContentIsLogged(t *testing.T) {
	var log bytes.Buffer
	dir := t.TempDir()
	d := openDir(t, dir, WithLogger(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	require.NoError(t, d.Save(conf.SlotFetched, snapshot(testKey, 1, "canary-content")))
	path := snapshotPath(d, testKey, conf.SlotFetched)
	require.NoError(t, os.WriteFile(path, append([]byte(read(t, path)), "canary"...), 0o600))
	_, err := d.Load(testKey, conf.SlotFetched)
	require.ErrorIs(t, err, conf.ErrCorrupt)
	assert.NotContains(t, err.Error(), "canary")
	assert.Contains(t, log.String(), "set aside")
	assert.NotContains(t, log.String(), "canary")
}
