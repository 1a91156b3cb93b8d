//go:build unix

package localfile

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

func overridePath(d *Dir, key conf.Key) string {
	return filepath.Join(d.path, overrideDir, key.Namespace, key.Group, key.DataID)
}

// age gives the file at path a time at which it counts as whole.
func age(t *testing.T, path string) {
	t.Helper()
	old := time.Now().Add(-time.Minute)
	require.NoError(t, os.Chtimes(path, old, old))
}

// override writes a file of the operator's, some time ago.
func override(t *testing.T, d *Dir, key conf.Key, content string) {
	t.Helper()
	path := overridePath(d, key)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	age(t, path)
}

func TestD8_OverrideIsByteExact(t *testing.T) {
	d := openDir(t, t.TempDir())
	_, err := d.Override(testKey)
	require.ErrorIs(t, err, conf.ErrNotFound)
	for _, content := range []string{"", "a: 1\r\nb: 2\r\n", "\xef\xbb\xbf\x00\xff", strings.Repeat("x", 20<<20)} {
		override(t, d, testKey, content)
		got, err := d.Override(conf.Key{DataID: testKey.DataID})
		require.NoError(t, err)
		require.True(t, got == content)
	}
	require.NoError(t, os.Remove(overridePath(d, testKey)))
	_, err = d.Override(testKey)
	require.ErrorIs(t, err, conf.ErrNotFound)
}

func TestD12_WorldWritableOverrideIsRefused(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, dir)
	override(t, d, testKey, "mine")
	require.NoError(t, os.Chmod(overridePath(d, testKey), 0o666))
	_, err := d.Override(testKey)
	require.ErrorIs(t, err, conf.ErrInvalid)
	require.ErrorContains(t, err, "chmod")
	got, err := openDir(t, dir, WithWorldWritable()).Override(testKey)
	require.NoError(t, err)
	require.Equal(t, "mine", got)
}

func TestD6_OverrideOfAnotherKind(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(outside, []byte("secret"), 0o600))
	for what, c := range map[string]struct {
		put  func(path string) error
		want error
	}{
		"FIFO":         {func(path string) error { return syscall.Mkfifo(path, 0o600) }, conf.ErrInvalid},
		"directory":    {func(path string) error { return os.Mkdir(path, 0o700) }, conf.ErrInvalid},
		"link outside": {func(path string) error { return os.Symlink(outside, path) }, nil},
		"dangling":     {func(path string) error { return os.Symlink("nothing", path) }, conf.ErrNotFound},
		"too large": {func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, MaxOverride+1))
		}, conf.ErrTooLarge},
	} {
		t.Run(what, func(t *testing.T) {
			d := openDir(t, t.TempDir())
			path := overridePath(d, testKey)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
			require.NoError(t, c.put(path))
			content, err := d.Override(testKey)
			require.Error(t, err)
			require.Empty(t, content)
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
			}
		})
	}
}

// In a bubble every file was changed in the future: the clock cannot be trusted,
// and only a file that stays as it is counts.
func TestD8_HalfWrittenOverrideIsNeverRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDir(t, t.TempDir())
		override(t, d, testKey, "")
		require.NoError(t, os.WriteFile(overridePath(d, testKey), nil, 0o644))
		go func() {
			f, err := os.OpenFile(overridePath(d, testKey), os.O_WRONLY, 0)
			if !assert.NoError(t, err) {
				return
			}
			defer f.Close()
			for range 2 {
				time.Sleep(settle * 4 / 5)
				_, err := f.WriteString("part ")
				assert.NoError(t, err)
			}
		}()
		start := time.Now()
		content, err := d.Override(testKey)
		require.NoError(t, err)
		require.Equal(t, "part part ", content)
		require.GreaterOrEqual(t, time.Since(start), 2*settle)
	})
}

func TestD8_OverrideThatNeverSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDir(t, t.TempDir())
		override(t, d, testKey, "")
		require.NoError(t, os.WriteFile(overridePath(d, testKey), nil, 0o644))
		stop := make(chan struct{})
		go func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(settle / 3):
					assert.NoError(t, os.WriteFile(overridePath(d, testKey), []byte(strings.Repeat("x", i)), 0o644))
				}
			}
		}()
		start := time.Now()
		_, err := d.Override(testKey)
		close(stop)
		require.ErrorIs(t, err, conf.ErrUnavailable)
		require.Equal(t, overrideWait, time.Since(start))
	})
}

// Windows opens the file of another key, a stream or a device by some names.
func TestX12_NamesOfOverridesOnWindows(t *testing.T) {
	for name, want := range map[string]struct{ windows, other bool }{
		"n/g/app.yaml": {true, true}, "n/g/A": {true, true}, "n/g/.env": {true, true},
		"n/g/..data": {false, false}, "..data/g/d": {false, false},
		"n/g/app.": {false, true}, "n./g/d": {false, true}, "n/g/...": {false, false},
		"n/g/a:b": {false, true}, "n/g:x/d": {false, true}, "n/g/app.yaml::DATA": {false, true},
		"n/g/con": {false, true}, "NUL/g/d": {false, true}, "n/Com1.x/d": {false, true}, "n/g/lpt9.yaml": {false, true},
		"n/g/com10": {true, true}, "n/g/a b": {false, false}, "n/g/a ": {false, false},
	} {
		for goos, want := range map[string]bool{"windows": want.windows, "linux": want.other, "darwin": want.other} {
			_, ok := keyAt(goos, name)
			assert.Equal(t, want, ok, "%s %q", goos, name)
		}
	}
}

func FuzzF3_OverridePaths(f *testing.F) {
	for _, name := range []string{"n/g/d", "n/g/..", "../../etc/passwd", "n/g/..data", "/n/g/d", "n//d", "n/g/d/e", "n/g/d\x00", "n/g/é", `n\g\d`} {
		f.Add(name)
	}
	base := f.TempDir()
	require.NoError(f, os.WriteFile(filepath.Join(base, "secret"), []byte("secret"), 0o600))
	d, err := Open(filepath.Join(base, "dir"))
	require.NoError(f, err)
	f.Cleanup(func() { d.Close() })
	f.Fuzz(func(t *testing.T, name string) {
		key, ok := keyAt(runtime.GOOS, name)
		if ok && (key.String() != name || key.Validate() != nil || filepath.Join("/x", name) != "/x/"+name) {
			t.Fatalf("%q became %v", name, key)
		}
		parts := append(strings.SplitN(name, "/", 3), "", "")
		for _, k := range []conf.Key{key, {Namespace: parts[0], Group: parts[1], DataID: parts[2]}, {DataID: name}} {
			if content, err := d.Override(k); err == nil || content != "" {
				t.Fatalf("%q: read %q", name, content)
			}
		}
	})
}
