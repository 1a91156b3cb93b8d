//go:build unix

package localfile

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// watched is what a watcher tells: the keys, and what Override then says.
type watched struct {
	t     *testing.T
	calls chan told
	stop  func()
}

type told struct {
	key     conf.Key
	content string
	err     error
}

// watchOverrides runs a watcher until it is stopped or the test ends.
func watchOverrides(t *testing.T, d *Dir, change func(*watcher)) *watched {
	ctx, cancel := context.WithCancel(t.Context())
	seen := &watched{t: t, calls: make(chan told, 1000)}
	w := newWatcher(d, func(key conf.Key) {
		content, err := d.Override(key)
		seen.calls <- told{key, content, err}
	})
	change(w)
	done := make(chan error, 1)
	go func() {
		defer w.close()
		done <- w.run(ctx)
	}()
	seen.stop = sync.OnceFunc(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	t.Cleanup(seen.stop)
	return seen
}

// next waits for one call, and checks it.
func (s *watched) next(key conf.Key, content string, want error) {
	s.t.Helper()
	select {
	case got := <-s.calls:
		require.Equal(s.t, key, got.key)
		require.ErrorIs(s.t, got.err, want)
		require.Equal(s.t, content, got.content)
	case <-time.After(time.Minute):
		require.Fail(s.t, "nothing was told")
	}
}

// skip takes calls until the next one is of a content.
func (s *watched) skip(content string) {
	s.t.Helper()
	for {
		select {
		case got := <-s.calls:
			if got.content == content {
				s.calls <- got
				return
			}
		case <-time.After(time.Minute):
			require.Fail(s.t, "it was never told")
		}
	}
}

func (s *watched) nothing() {
	s.t.Helper()
	select {
	case got := <-s.calls:
		require.Fail(s.t, "told of something", "%v", got)
	default:
	}
}

var otherKey = conf.Key{Namespace: "ns", Group: "g", DataID: "other"}

// replace is how overrides should be changed: by a rename.
func replace(t *testing.T, d *Dir, key conf.Key, content string) {
	t.Helper()
	temp := filepath.Join(d.path, "being-written")
	require.NoError(t, os.WriteFile(temp, []byte(content), 0o644))
	require.NoError(t, os.Rename(temp, overridePath(d, key)))
}

// operate does to overrides what operators do, and checks that each is told once.
func operate(t *testing.T, d *Dir, seen *watched) {
	path := overridePath(d, testKey)
	seen.next(testKey, "there at start", nil)

	replace(t, d, testKey, "replaced")
	seen.next(testKey, "replaced", nil)
	// It is as long as what was there, and so never half of it.
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("in place")
	require.NoError(t, err)
	seen.next(testKey, "in place", nil)
	started := time.Now()
	for range 3 {
		_, err = f.WriteString(" and more")
		require.NoError(t, err)
	}
	require.NoError(t, f.Close())
	if time.Since(started) > settle/2 { // this test was stopped meanwhile, and the watcher was not
		seen.skip("in place and more and more and more")
	}
	seen.next(testKey, "in place and more and more and more", nil)

	require.NoError(t, os.Chmod(path, 0o646))
	seen.next(testKey, "", conf.ErrInvalid)
	require.NoError(t, os.Chmod(path, 0o644))
	seen.next(testKey, "in place and more and more and more", nil)

	require.NoError(t, os.MkdirAll(filepath.Dir(overridePath(d, otherKey)), 0o755))
	require.NoError(t, os.Rename(path, overridePath(d, otherKey)))
	calls := []told{<-seen.calls, <-seen.calls}
	slices.SortFunc(calls, func(a, b told) int { return a.key.Compare(b.key) })
	require.Equal(t, otherKey, calls[0].key)
	require.Equal(t, "in place and more and more and more", calls[0].content)
	require.Equal(t, testKey, calls[1].key)
	require.ErrorIs(t, calls[1].err, conf.ErrNotFound)

	require.NoError(t, os.RemoveAll(filepath.Join(d.path, overrideDir)))
	seen.next(otherKey, "", conf.ErrNotFound)
	override(t, d, testKey, "all anew")
	seen.next(testKey, "all anew", nil)
}

// With the rescan an hour away, all that is seen is seen by notifications.
func TestD8_ChangesAreNotified(t *testing.T) {
	d := openDir(t, t.TempDir())
	override(t, d, testKey, "there at start")
	seen := watchOverrides(t, d, func(w *watcher) {
		require.NotNil(t, w.notify)
		w.every = time.Hour
	})
	operate(t, d, seen)
}

// Without notifications, in a bubble: all is seen by rescans.
func TestD8_ChangesAreFoundByRescans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDir(t, t.TempDir())
		override(t, d, testKey, "there at start")
		seen := watchOverrides(t, d, unnotified)
		start := time.Now()
		operate(t, d, seen)
		t.Logf("took %v of the bubble's time", time.Since(start))

		replace(t, d, testKey, "all anew") // what it was
		time.Sleep(time.Minute)
		seen.nothing()

		// Same size, same time, same file: found by reading all.
		path := overridePath(d, testKey)
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, []byte("ALL ANEW"), 0o644))
		require.NoError(t, os.Chtimes(path, time.Time{}, info.ModTime()))
		start = time.Now()
		seen.next(testKey, "ALL ANEW", nil)
		require.LessOrEqual(t, time.Since(start), (rereadEvery+1)*rescanEvery*6/5)
	})
}

func unnotified(w *watcher) {
	w.close()
	w.notify, w.events, w.errors = nil, nil, nil
}

// mountConfigMap does what Kubernetes does: a hidden directory for each version, a
// link to the present one that is swapped by a rename, and links to its files.
func mountConfigMap(t *testing.T, dir, version string, files map[string]string) {
	t.Helper()
	inner := filepath.Join(dir, ".."+version)
	for name, content := range files {
		path := filepath.Join(inner, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
		age(t, path)
		first, _, _ := strings.Cut(name, "/")
		if err := os.Symlink("..data/"+first, filepath.Join(dir, first)); !errors.Is(err, os.ErrExist) {
			require.NoError(t, err)
		}
	}
	before, _ := os.Readlink(filepath.Join(dir, "..data"))
	require.NoError(t, os.Symlink(".."+version, filepath.Join(dir, "..data_tmp")))
	require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	if before != "" {
		require.NoError(t, os.RemoveAll(filepath.Join(dir, before)))
	}
}

func TestD8_ConfigMapSwap(t *testing.T) {
	key := testKey.String()
	for mount, name := range map[string]string{
		"": key, "public": strings.TrimPrefix(key, "public/"), "public/DEFAULT_GROUP": testKey.DataID,
	} {
		t.Run("at "+overrideDir+"/"+mount, func(t *testing.T) {
			var log bytes.Buffer
			d := openDir(t, t.TempDir(), WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))))
			dir := filepath.Join(d.path, overrideDir, mount)
			require.NoError(t, os.MkdirAll(dir, 0o777))
			mountConfigMap(t, dir, "2026_01", map[string]string{name: "one"})
			seen := watchOverrides(t, d, func(w *watcher) { w.every = time.Hour })
			seen.next(testKey, "one", nil)
			for _, version := range []string{"2026_02", "2026_03"} {
				mountConfigMap(t, dir, version, map[string]string{name: version})
				seen.next(testKey, version, nil)
			}
			seen.nothing()
			seen.stop()
			assert.Empty(t, log.String(), "the mount's own names are nothing to warn of")
		})
	}
}

func TestWatchOverrides(t *testing.T) {
	d := openDir(t, t.TempDir())
	override(t, d, testKey, "x")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	require.NoError(t, d.WatchOverrides(ctx, func(key conf.Key) {
		assert.Equal(t, testKey, key)
		cancel()
	}))
}

func TestNamesThatAreNoKeysAreWarnedOfOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := openDir(t, t.TempDir(), WithLogger(slog.New(slog.NewJSONHandler(&log, nil))))
		override(t, d, testKey, "good")
		for _, name := range []string{"stray", "public/stray", "public/DEFAULT_GROUP/a b", "public/DEFAULT_GROUP/x\nevil", "public/g!/x", "public/g/deeper/x"} {
			path := filepath.Join(d.path, overrideDir, name)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, nil, 0o644))
		}
		require.NoError(t, os.Symlink("/etc", filepath.Join(d.path, overrideDir, "etc")))
		seen := watchOverrides(t, d, unnotified)
		seen.next(testKey, "good", nil)
		time.Sleep(time.Minute)
		seen.nothing()
		seen.stop()
		assert.Equal(t, 7, strings.Count(log.String(), "not an override"), log.String())
		for line := range strings.Lines(log.String()) {
			assert.True(t, strings.HasPrefix(line, "{") && strings.HasSuffix(line, "}\n"), "one line each: %q", line)
		}
	})
}
