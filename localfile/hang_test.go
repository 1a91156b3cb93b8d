//go:build unix

package localfile

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// hanging are calls that hang until they are released.
type hanging struct {
	mu      sync.Mutex
	hangs   func(call) bool // guarded by mu
	release chan struct{}   // guarded by mu: closed and made anew by free
}

// hang has the watcher's calls hang for which hangs returns true.
func hang(w *watcher, hangs func(call) bool) *hanging {
	h := &hanging{hangs: hangs, release: make(chan struct{})}
	w.calls.before = func(c call) {
		h.mu.Lock()
		hangs, release := h.hangs(c), h.release
		h.mu.Unlock()
		if hangs {
			<-release
		}
	}
	return h
}

// free has the calls that hang return, and none hang any more.
func (h *hanging) free() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hangs = func(call) bool { return false }
	close(h.release)
}

// again has calls hang anew.
func (h *hanging) again(hangs func(call) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hangs, h.release = hangs, make(chan struct{})
}

// farKey is of another directory than testKey.
var farKey = conf.Key{Namespace: "far", Group: "g", DataID: "app.yaml"}

func TestD6_AnOverrideThatHangsHoldsUpNoOther(t *testing.T) {
	name := overrideName(testKey)
	for _, c := range []call{
		{"stat", name}, {"read", name}, {"list", path.Dir(name)}, {"stat", path.Dir(name)}, {"list", path.Dir(path.Dir(name))},
	} {
		t.Run(c.op+" "+c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				d := openDir(t, t.TempDir(), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				override(t, d, testKey, "one")
				override(t, d, farKey, "far")
				var h *hanging
				these := func(made call) bool { return made == c }
				start := time.Now()
				seen := watchOverrides(t, d, func(w *watcher) {
					unnotified(w)
					h = hang(w, these)
				})
				seen.next(farKey, "far", nil)
				assert.LessOrEqual(t, time.Since(start), callPatience)
				replace(t, d, farKey, "further")
				seen.next(farKey, "further", nil)
				require.NoError(t, os.Remove(overridePath(d, farKey)))
				seen.next(farKey, "", conf.ErrNotFound)
				time.Sleep(time.Minute)
				seen.nothing()
				h.free()
				seen.next(testKey, "one", nil)

				h.again(these)
				replace(t, d, testKey, "two")
				time.Sleep(time.Minute)
				replace(t, d, testKey, "three")
				override(t, d, farKey, "far again")
				seen.next(farKey, "far again", nil)
				time.Sleep(time.Minute)
				seen.nothing()
				h.free()
				seen.next(testKey, "three", nil)

				h.again(these)
				time.Sleep(time.Minute)
				h.free()
				time.Sleep(time.Minute)
				seen.nothing() // it was there all the time

				h.again(these)
				time.Sleep(time.Minute)
				require.NoError(t, os.Remove(overridePath(d, testKey)))
				time.Sleep(time.Minute)
				h.free()
				seen.next(testKey, "", conf.ErrNotFound)
				time.Sleep(time.Minute)
				seen.nothing()
				seen.stop()
				assert.LessOrEqual(t, strings.Count(log.String(), "overrides cannot be looked at"), 5, "once each time")
			})
		})
	}
}

func TestD6_ManyOverridesThatHangHoldUpTheOthersNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDir(t, t.TempDir())
		dir := path.Dir(overrideName(testKey))
		for i := range 2 * maxCalls {
			override(t, d, conf.Key{Namespace: testKey.Namespace, Group: testKey.Group, DataID: fmt.Sprint("k", i)}, "x")
		}
		override(t, d, farKey, "1")
		var h *hanging
		seen := watchOverrides(t, d, func(w *watcher) {
			unnotified(w)
			h = hang(w, func(c call) bool { return path.Dir(c.name) == dir })
		})
		seen.next(farKey, "1", nil)
		for i := range 60 { // until all places are taken, and after that
			time.Sleep(3 * time.Second)
			start, content := time.Now(), fmt.Sprint(i)
			replace(t, d, farKey, content+" more")
			seen.next(farKey, content+" more", nil)
			require.LessOrEqual(t, time.Since(start), rescanEvery*6/5+callPatience+2*settle)
		}
		h.free()
		for range 2 * maxCalls {
			assert.Equal(t, "x", (<-seen.calls).content)
		}
	})
}

// However many directories have files that hang, the others are followed.
func TestD6_ManyDirectoriesThatHangLeaveRoomForTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDir(t, t.TempDir())
		const groups = 24
		for i := range groups {
			for j := range maxHangingIn {
				override(t, d, conf.Key{Namespace: "hangs", Group: fmt.Sprint("g", i), DataID: fmt.Sprint("k", j)}, "x")
			}
		}
		override(t, d, farKey, "1")
		var h *hanging
		seen := watchOverrides(t, d, func(w *watcher) {
			unnotified(w)
			h = hang(w, func(c call) bool {
				return strings.HasPrefix(c.name, "overrides/hangs/") && strings.Count(c.name, "/") == 3
			})
		})
		seen.next(farKey, "1", nil)
		time.Sleep(10 * time.Minute) // until as many hang as may
		replace(t, d, farKey, "two")
		start := time.Now()
		seen.next(farKey, "two", nil)
		assert.LessOrEqual(t, time.Since(start), rescanEvery*6/5+callPatience+2*settle)
		h.free()
		for range groups * maxHangingIn {
			assert.Equal(t, "x", (<-seen.calls).content)
		}
	})
}

// Each call takes longer than a watcher waits for one.
func TestD6_OverridesOfASlowFileSystemAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDir(t, t.TempDir())
		override(t, d, testKey, "one")
		seen := watchOverrides(t, d, func(w *watcher) {
			unnotified(w)
			w.calls.before = func(call) { time.Sleep(callPatience * 3 / 2) }
		})
		time.Sleep(5 * time.Minute)
		seen.next(testKey, "one", nil)
		replace(t, d, testKey, "two")
		time.Sleep(5 * time.Minute)
		seen.next(testKey, "two", nil)
		require.NoError(t, os.Remove(overridePath(d, testKey)))
		time.Sleep(5 * time.Minute)
		seen.next(testKey, "", conf.ErrNotFound)
		seen.nothing()
		seen.stop()
		time.Sleep(time.Minute)
	})
}

func TestD6_AWatchOfFilesThatHangEnds(t *testing.T) {
	for name, end := range map[string]func(*Dir, context.CancelFunc) error{
		"with its context": func(_ *Dir, cancel context.CancelFunc) error { cancel(); return nil },
		"with Close":       func(d *Dir, _ context.CancelFunc) error { return d.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := openDir(t, t.TempDir())
				override(t, d, testKey, "x")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				w := newWatcher(d, func(conf.Key) { assert.Fail(t, "told") })
				unnotified(w)
				h := hang(w, func(call) bool { return true })
				ended := make(chan error, 1)
				go func() { ended <- w.run(ctx) }()
				synctest.Wait() // it is in a call now
				start := time.Now()
				require.NoError(t, end(d, cancel))
				err := <-ended
				if name == "with Close" {
					require.ErrorIs(t, err, conf.ErrClosed)
				} else {
					require.NoError(t, err)
				}
				assert.LessOrEqual(t, time.Since(start), 2*callPatience)
				h.free()
			})
		})
	}
}
