package boltstore

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

func TestInUse(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	commit(t, s, put("a", "x"))
	_, err := Open(dir)
	require.ErrorIs(t, err, conf.ErrInUse)
	require.ErrorContains(t, err, dir)
	_, err = Check(t.Context(), dir)
	require.ErrorIs(t, err, conf.ErrInUse)
	require.NoError(t, s.Close())
	require.NoError(t, open(t, dir).Close())
}

// Of many that open a new directory at once, one does.
func TestOpenRace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	stores, errs := make([]*Store, 6), make([]error, 6)
	var wg sync.WaitGroup
	for i := range stores {
		wg.Go(func() { stores[i], errs[i] = Open(dir) })
	}
	wg.Wait()
	opened := 0
	for i, s := range stores {
		if errs[i] == nil {
			opened++
			commit(t, s, put("a", "x"))
			require.NoError(t, s.Close())
			continue
		}
		require.ErrorIs(t, errs[i], conf.ErrInUse)
	}
	require.Equal(t, 1, opened)
	require.Equal(t, 1, sound(t, dir).Changes)
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 1)
}

// What a crash left of a compaction goes with the next start, and with the next
// compaction, which may need the space.
func TestLeftoversGo(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, tempPrefix+"123")
	leave := func() { require.NoError(t, os.WriteFile(left, []byte("half"), 0o600)) }
	leave()
	s := open(t, dir)
	require.NoFileExists(t, left)
	leave()
	_, _, err := Compact(t.Context(), dir)
	require.ErrorIs(t, err, conf.ErrInUse)
	require.FileExists(t, left, "it may be another's who has the lock")
	require.NoError(t, s.Close())
	_, _, err = Compact(t.Context(), dir)
	require.NoError(t, err)
	require.NoFileExists(t, left)
}

func TestPermissions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "dir")
	s := open(t, dir)
	for path, mode := range map[string]os.FileMode{dir: 0o700, filepath.Dir(dir): 0o700, fileOf(dir): 0o600} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), path)
	}
	require.NoError(t, s.Close())
}

func TestOpenElsewhere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := Open(file)
	require.ErrorIs(t, err, conf.ErrUnavailable)
	require.ErrorContains(t, err, file)
	require.NoError(t, os.Mkdir(filepath.Join(filepath.Dir(file), fileName), 0o700))
	_, err = Open(filepath.Dir(file))
	require.Error(t, err, "a directory in the file's place")
}

// A store that a newer version of this program wrote is not taken for damaged.
func TestNewerFormat(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	require.NoError(t, s.write(t.Context(), func(v *view) error {
		row := v.header.encode()
		row[0] = marked + 1
		return v.tx.Bucket([]byte(metaBucket)).Put(headerKey(), row)
	}))
	require.NoError(t, s.Close())
	_, err := Open(dir)
	require.ErrorIs(t, err, conf.ErrInvalid)
	require.ErrorContains(t, err, "format 3, this program knows up to 2")
}

// No content gets into an error or a report.
func TestNoContentInErrors(t *testing.T) {
	const secret = "canary-5e1f"
	dir := t.TempDir()
	s := open(t, dir)
	set := put("a", secret)
	set.RequestID = "r1"
	commit(t, s, set)
	var said []string
	note := func(err error) {
		require.Error(t, err)
		said = append(said, err.Error())
	}
	set.Drafts[0].Content = secret + "2"
	r, err := s.Commit(t.Context(), []conf.ChangeSet{set, {Drafts: []conf.Draft{{Key: key("a"), Content: secret, IfRevision: conf.Revision(9)}}}})
	require.NoError(t, err)
	note(r[0].Err)
	note(r[1].Err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Commit(ctx, []conf.ChangeSet{set})
	note(err)
	require.NoError(t, s.Close())
	b, err := os.ReadFile(fileOf(dir))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(fileOf(dir), bytes.ReplaceAll(b, []byte(secret), []byte("canary-5e1g")), 0o600))
	report, err := Check(t.Context(), dir)
	note(err)
	said = append(said, report.String())
	for _, text := range said {
		require.False(t, strings.Contains(text, "canary"), text)
	}
}

// What is opened to read can be read and copied, by several at once, and is
// neither written nor made.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	s := filled(t, dir)
	_, err := Open(dir, WithReadOnly())
	require.ErrorIs(t, err, conf.ErrInUse)
	want, err := dump(t.Context(), s)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	left := filepath.Join(dir, tempPrefix+"left")
	require.NoError(t, os.WriteFile(left, nil, 0o600))
	was, err := os.ReadFile(fileOf(dir))
	require.NoError(t, err)

	r, other := open(t, dir, WithReadOnly()), open(t, dir, WithReadOnly())
	for _, s := range []*Store{r, other} {
		got, err := dump(t.Context(), s)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err = Open(dir)
	require.ErrorIs(t, err, conf.ErrInUse)
	_, err = r.Commit(t.Context(), []conf.ChangeSet{put("a", "x")})
	require.ErrorIs(t, err, conf.ErrInvalid)
	require.ErrorIs(t, r.Prune(t.Context()), conf.ErrInvalid)
	var backup bytes.Buffer
	require.NoError(t, r.Backup(t.Context(), &backup))
	require.NoError(t, errors.Join(r.Close(), other.Close()))
	now, err := os.ReadFile(fileOf(dir))
	require.NoError(t, err)
	require.True(t, bytes.Equal(was, now))
	require.FileExists(t, left)
	_, err = Restore(t.Context(), filepath.Join(t.TempDir(), "to"), &backup)
	require.NoError(t, err)

	none := filepath.Join(t.TempDir(), "none")
	_, err = Open(none, WithReadOnly())
	require.ErrorIs(t, err, conf.ErrNotFound)
	require.NoDirExists(t, none)
}
