package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// filled returns a store with entries, versions, deletions and request ids.
func filled(t *testing.T, dir string, opts ...Option) *Store {
	t.Helper()
	s := open(t, dir, opts...)
	for i := range 60 {
		set := put(fmt.Sprint("k", i%7), fmt.Sprint("content ", i, strings.Repeat(" and more", i)))
		set.RequestID = fmt.Sprint("r", i)
		set.Drafts[0].Meta = map[string]string{"n": fmt.Sprint(i)}
		commit(t, s, set)
	}
	commit(t, s, conf.ChangeSet{Deletes: []conf.Delete{{Key: key("k3")}}})
	return s
}

// D9, at the level of positions: a backup is taken while writers write, and
// restored. What came after it is lost, and everybody can tell.
func TestD9_BackupAndRestore(t *testing.T) {
	dir := t.TempDir()
	s := filled(t, filepath.Join(dir, "a"))
	early := commit(t, s, put("early", "x"))

	var wg sync.WaitGroup
	stop := make(chan struct{})
	started := make(chan struct{})
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.Commit(context.Background(), []conf.ChangeSet{put(fmt.Sprint("w", i%5), fmt.Sprint(i))}); err != nil {
				t.Error(err)
				return
			}
			if i == 10 {
				close(started)
			}
		}
	})
	<-started
	var backup bytes.Buffer
	require.NoError(t, s.Backup(t.Context(), &backup))
	close(stop)
	wg.Wait()
	late := commit(t, s, put("late", "x"))

	to := filepath.Join(dir, "b", "new")
	at, err := Restore(t.Context(), to, &backup)
	require.NoError(t, err)
	require.Equal(t, early.Store, at.Store)
	require.Greater(t, at.Epoch.Generation, early.Epoch.Generation)
	require.Greater(t, at.Revision, early.Revision)
	require.Equal(t, at, sound(t, to).Position)
	info, err := os.Stat(to)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	r := open(t, to)
	_, err = r.Changes(t.Context(), late, 1<<20)
	require.ErrorIs(t, err, conf.ErrEpoch, "a position that was lost")
	batch, err := r.Changes(t.Context(), early, 1<<20)
	require.NoError(t, err, "a position that was not")
	require.Equal(t, conf.OpFork, batch.Changes[len(batch.Changes)-1].Op)
	// A node that had verified more than the backup has it begin above that.
	forked, err := r.Fork(t.Context(), conf.Position{Store: late.Store, Epoch: at.Epoch, Revision: at.Revision + 50, Chain: late.Chain})
	require.NoError(t, err)
	require.Equal(t, at.Revision+51, forked.Revision)
}

func TestRestoreRefuses(t *testing.T) {
	dir := t.TempDir()
	s := filled(t, filepath.Join(dir, "a"))
	var backup bytes.Buffer
	require.NoError(t, s.Backup(t.Context(), &backup))
	good := backup.Bytes()

	_, err := Restore(t.Context(), filepath.Join(dir, "a"), bytes.NewReader(good))
	require.ErrorIs(t, err, conf.ErrInvalid, "a directory with a store")
	full := filepath.Join(dir, "full")
	require.NoError(t, os.Mkdir(full, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(full, "x"), nil, 0o600))
	_, err = Restore(t.Context(), full, bytes.NewReader(good))
	require.ErrorIs(t, err, conf.ErrInvalid)

	flipped := bytes.ReplaceAll(good, []byte("content 59"), []byte("content 58")) // in free pages too
	to := filepath.Join(dir, "to")
	for name, damaged := range map[string][]byte{
		"nothing": nil, "cut": good[:len(good)/2], "cut in a page": good[:len(good)-100], "text": []byte(strings.Repeat("x", 1<<15)), "flipped": flipped,
	} {
		_, err := Restore(t.Context(), to, bytes.NewReader(damaged))
		require.ErrorIs(t, err, conf.ErrCorrupt, name)
		require.Equal(t, 1, strings.Count(err.Error(), "corrupt"), "it is said once: %v", err)
		left, err := os.ReadDir(to)
		require.NoError(t, err)
		require.Empty(t, left, name)
	}
	broken := errors.New("connection lost")
	_, err = Restore(t.Context(), to, readerFunc(func([]byte) (int, error) { return 0, broken }))
	require.ErrorContains(t, err, broken.Error())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Restore(ctx, to, bytes.NewReader(good))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, s.Backup(ctx, &backup), context.Canceled)

	_, err = Restore(t.Context(), to, bytes.NewReader(good))
	require.NoError(t, err, "after all that, the directory is still fit")
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Backup(t.Context(), &backup), conf.ErrClosed)
}

func TestCompact(t *testing.T) {
	dir := t.TempDir()
	s := filled(t, dir, WithRetention(tinyRetention()))
	for i := range 200 {
		commit(t, s, put("large", strings.Repeat(fmt.Sprint(i), 10_000)))
	}
	require.NoError(t, s.Prune(t.Context()))
	before, err := s.Scan(t.Context(), conf.ScanRequest{Limit: 100, Contents: true})
	require.NoError(t, err)
	_, _, err = Compact(t.Context(), dir)
	require.ErrorIs(t, err, conf.ErrInUse)
	require.NoError(t, s.Close())
	was := sound(t, dir)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = Compact(ctx, dir)
	require.ErrorIs(t, err, context.Canceled)

	from, to, err := Compact(t.Context(), dir)
	require.NoError(t, err)
	require.Less(t, to, from/2)
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 1)
	now := sound(t, dir)
	require.Equal(t, to, now.File)
	now.File = was.File
	require.Equal(t, was, now)

	s = open(t, dir, WithRetention(tinyRetention()))
	after, err := s.Scan(t.Context(), conf.ScanRequest{Limit: 100, Contents: true})
	require.NoError(t, err)
	require.Equal(t, before, after)
	again := put("k0", "content 0")
	again.RequestID = "r0"
	again.Drafts[0].Meta = map[string]string{"n": "0"}
	r, err := s.Commit(t.Context(), []conf.ChangeSet{again})
	require.NoError(t, err)
	require.True(t, r[0].Replayed)
	commit(t, s, put("k0", "new"))
}

// A file that is as small as it can be is left alone.
func TestCompactOfWhatIsSmall(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	commit(t, s, put("a", "x"))
	require.NoError(t, s.Close())
	was, err := os.ReadFile(fileOf(dir))
	require.NoError(t, err)
	before, after, err := Compact(t.Context(), dir)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.EqualValues(t, len(was), after)
	now, err := os.ReadFile(fileOf(dir))
	require.NoError(t, err)
	require.True(t, bytes.Equal(was, now))
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 1)
}

// A bit of a record, of an old content or of a request id: no start looks there,
// so the store opens, and its backup is found to be damaged.
func TestCheckBackup(t *testing.T) {
	for name, damage := range map[string]func(file []byte){
		"none": nil,
		"old content": func(file []byte) {
			at := bytes.Index(file, []byte("content 30 and more"))
			require.Positive(t, at)
			file[at] ^= 1
		},
		"old record": func(file []byte) {
			at := bytes.Index(file, []byte("content 30 and more"))
			require.Positive(t, at)
			file[at-1] ^= 1
		},
		"request id": func(file []byte) {
			k := newRequest(&conf.ChangeSet{RequestID: "r30"}).key
			at := bytes.LastIndex(file, k)
			require.Positive(t, at)
			file[at+len(k)+40] ^= 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := filled(t, dir)
			require.NoError(t, s.Close())
			_, _, err := Compact(t.Context(), dir) // no free pages with the same bytes
			require.NoError(t, err)
			file, err := os.ReadFile(fileOf(dir))
			require.NoError(t, err)
			if damage != nil {
				damage(file)
			}
			require.NoError(t, os.WriteFile(fileOf(dir), file, 0o600))
			s = open(t, dir)
			path := filepath.Join(t.TempDir(), "backup")
			w, err := os.Create(path)
			require.NoError(t, err)
			require.NoError(t, errors.Join(s.Backup(t.Context(), w), w.Close()))
			report, err := CheckBackup(t.Context(), path)
			if damage == nil {
				require.NoError(t, err)
				require.Equal(t, 61, report.Changes)
				return
			}
			require.ErrorIs(t, err, conf.ErrCorrupt)
			require.NotEmpty(t, report.Problems)
		})
	}
	_, err := CheckBackup(t.Context(), filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, conf.ErrNotFound)
}

func TestCompactOfNothing(t *testing.T) {
	_, _, err := Compact(t.Context(), t.TempDir())
	require.ErrorIs(t, err, conf.ErrNotFound)
	_, err = Check(t.Context(), t.TempDir())
	require.ErrorIs(t, err, conf.ErrNotFound)
}

// An installation that a crash, or another one, interrupted is in nobody's way.
func TestInstallInterrupted(t *testing.T) {
	source := filled(t, t.TempDir())
	page, err := source.Scan(t.Context(), conf.ScanRequest{Limit: 100, Contents: true})
	require.NoError(t, err)
	dir := t.TempDir()
	s := open(t, dir)
	all := func(between func(i int)) func(func(conf.Entry, error) bool) {
		return func(yield func(conf.Entry, error) bool) {
			for i, e := range page.Entries {
				between(i)
				if !yield(e, nil) {
					return
				}
			}
		}
	}
	nothing := func(int) {}
	require.NoError(t, s.Install(t.Context(), page.Position, all(func(int) {
		require.ErrorIs(t, s.Install(t.Context(), page.Position, all(nothing)), conf.ErrInvalid)
	})))
	// As a crash leaves it: buckets of the next generation, half filled.
	in := &installer{at: page.Position, buffer: page.Entries[:3]}
	require.NoError(t, s.write(t.Context(), in.begin))
	require.NoError(t, s.write(t.Context(), in.flush))
	require.NoError(t, s.Close())
	sound(t, dir)
	s = open(t, dir)
	require.NoError(t, s.Install(t.Context(), page.Position, all(nothing)))
	got, err := s.Scan(t.Context(), conf.ScanRequest{Limit: 100, Contents: true})
	require.NoError(t, err)
	require.Equal(t, page, got)
	require.NoError(t, s.Close())
	sound(t, dir)
}
