package localfile

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	diamond "github.com/linnaname/gdiamond"
)

const (
	rescanEvery = 2 * time.Second       // without a notification, jittered
	rereadEvery = 15                    // rescans: then contents are compared too
	gather      = 50 * time.Millisecond // notifications come in bursts
)

// WatchOverrides calls changed with the key of each override that is there, and
// then of each that appears, changes or goes away, until ctx ends; then it
// returns nil. It is called too when an override becomes one that cannot be
// used, and back: Override says what it is. Calls do not overlap, and come
// half a second after the last change of a file. Close also ends it, with ErrClosed.
func (d *Dir) WatchOverrides(ctx context.Context, changed func(diamond.Key)) error {
	w := newWatcher(d, changed)
	defer w.close()
	return w.run(ctx)
}

// watcher follows the override tree. Its goroutine is that of run.
type watcher struct {
	dir     *Dir
	changed func(diamond.Key)
	every   time.Duration // between rescans

	notify *fsnotify.Watcher // nil: the system has none to give
	events <-chan fsnotify.Event
	errors <-chan error

	files  map[diamond.Key]*watchedFile
	dirs   map[string]fs.FileInfo // those that notify watches
	warned map[string]bool        // paths that are no overrides
}

func newWatcher(d *Dir, changed func(diamond.Key)) *watcher {
	w := &watcher{dir: d, changed: changed, every: rescanEvery, files: map[diamond.Key]*watchedFile{}}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		d.logger.Warn("no file notifications; overrides are only rescanned", "every", rescanEvery, "error", err)
		return w
	}
	w.notify, w.events, w.errors = notify, notify.Events, notify.Errors
	return w
}

func (w *watcher) close() {
	if w.notify != nil {
		w.notify.Close()
	}
}

// run scans now, after notifications, and every while.
func (w *watcher) run(ctx context.Context) error {
	var due time.Time // of the next scan
	timer := time.NewTimer(0)
	defer timer.Stop()
	next := func(d time.Duration) {
		due = time.Now().Add(d)
		timer.Reset(d)
	}
	reread := true
	for scans := 1; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-w.events:
		case <-w.errors: // mostly an overflow: events were lost
		case <-timer.C:
			again, err := w.scan(reread || scans%rereadEvery == 0)
			if errors.Is(err, diamond.ErrClosed) {
				return err
			}
			reread = false
			scans++
			if again {
				next(settle)
			} else {
				next(time.Duration(float64(w.every) * (0.8 + 0.4*rand.Float64())))
			}
			continue
		}
		reread = true
		if time.Until(due) > gather {
			next(gather)
		}
	}
}

// scan compares the tree with what was told of it. With reread, contents are
// compared even where size and time are as they were. It returns whether it
// should look again soon.
func (w *watcher) scan(reread bool) (again bool, err error) {
	found := newTree()
	err = w.dir.in(false, found.walk)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // there is no tree
	} else if err != nil {
		found.odd[overrideDir] = err.Error()
	}
	for name, why := range found.odd {
		if !w.warned[name] {
			w.dir.logger.Warn("not an override; ignored", "file", name, "why", why)
		}
	}
	w.warned = map[string]bool{}
	for name := range found.odd {
		w.warned[name] = true
	}
	again = w.watch(found.dirs)

	for key, info := range found.files {
		f := w.files[key]
		if f == nil {
			f = &watchedFile{}
			w.files[key] = f
		}
		if w.look(key, f, info, reread) {
			again = true
		}
	}
	for key, f := range w.files {
		// A directory that cannot be listed may still hold it.
		if _, ok := found.files[key]; ok || err != nil || found.partial {
			continue
		}
		delete(w.files, key)
		if f.told != "" {
			w.dir.logger.Debug("override is gone", "key", key)
			w.changed(key)
		}
	}
	return again, err
}

// watchedFile is what is known of one override.
type watchedFile struct {
	info  fs.FileInfo // at the last scan
	since time.Time   // when info was first seen
	read  fs.FileInfo // when it was read last
	told  string      // the state that changed was called for: a hash, or an error; "" none
}

// look compares one file with what is known of it, and returns whether it has
// to be looked at again because it may be half-written.
func (w *watcher) look(key diamond.Key, f *watchedFile, info fs.FileInfo, reread bool) (again bool) {
	if f.info == nil || !unchanged(f.info, info) {
		f.since = time.Now()
	}
	f.info = info
	if f.read != nil && unchanged(f.read, info) && !reread {
		return false
	}
	if !quiet(info) && time.Since(f.since) < settle {
		return true
	}
	o, err := w.dir.readOverride(key)
	if errors.Is(err, diamond.ErrUnavailable) || errors.Is(err, diamond.ErrNotFound) || err == nil && !unchanged(o.info, info) {
		return true // changed since it was listed
	}
	f.read = info
	state := "sha256:" + sum(o.content)
	if err != nil {
		state = err.Error()
	}
	if state == f.told {
		return false
	}
	f.told = state
	w.dir.logger.Debug("override has changed", "key", key, "error", err)
	w.changed(key)
	return false
}

// watch asks for notifications of dirs, and returns whether there are new ones:
// what happened in them before was not notified.
func (w *watcher) watch(dirs map[string]fs.FileInfo) (added bool) {
	if w.notify == nil {
		return false
	}
	for name, info := range w.dirs {
		if now, ok := dirs[name]; !ok || !os.SameFile(now, info) {
			// Mostly the system has dropped it already. The name may lead elsewhere now.
			_ = w.notify.Remove(w.hostPath(name))
			delete(w.dirs, name)
		}
	}
	for name := range dirs {
		if w.dirs[name] != nil {
			continue
		}
		added = true
		err := w.notify.Add(w.hostPath(name))
		if errors.Is(err, fs.ErrNotExist) {
			delete(dirs, name) // gone meanwhile
		} else if err != nil { // said once: dirs keeps it
			w.dir.logger.Warn("no file notifications; overrides are only rescanned",
				"dir", name, "every", rescanEvery, "error", err)
		}
	}
	w.dirs = dirs
	return added
}

func (w *watcher) hostPath(name string) string {
	return filepath.Join(w.dir.path, filepath.FromSlash(name))
}
