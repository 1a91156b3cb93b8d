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

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/hung"
)

const (
	rescanEvery = 2 * time.Second       // without a notification, with jitter
	rereadEvery = 15                    // rescans, after which contents are compared too
	gather      = 50 * time.Millisecond // because notifications come in bursts
)

// WatchOverrides calls changed with the key of each existing override, and then of each
// override that appears, changes or disappears. It also calls changed when an override
// becomes unusable or usable again; Override returns the state. Calls do not overlap, and
// come half a second after the last change of a file. WatchOverrides returns nil when ctx
// ends, and ErrClosed after Close.
//
// A file or directory that hangs, as on a network file system whose server is down, delays
// the others for a second, once. So do up to three more in the same directory, but no
// others. Changes in it are reported once it can be read. Even if files hang, the watch ends
// within seconds.
func (d *Dir) WatchOverrides(ctx context.Context, changed func(conf.Key)) error {
	w := newWatcher(d, changed)
	defer w.close()
	return w.run(ctx)
}

// watcher follows the tree of overrides. It is confined to the goroutine of run.
type watcher struct {
	dir     *Dir
	calls   *calls
	changed func(conf.Key)
	every   time.Duration // between rescans

	notify *fsnotify.Watcher // or nil if the system provides none
	events <-chan fsnotify.Event
	errors <-chan error

	files  map[conf.Key]*watchedFile
	dirs   map[string]fs.FileInfo // directories that notify watches
	warned map[string]bool        // paths that are not overrides, or could not be read
}

func newWatcher(d *Dir, changed func(conf.Key)) *watcher {
	w := &watcher{dir: d, calls: newCalls(d), changed: changed, every: rescanEvery,
		files: map[conf.Key]*watchedFile{}, dirs: map[string]fs.FileInfo{}, warned: map[string]bool{}}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		d.logger.Warn("no file notifications; overrides are only rescanned", "every", rescanEvery, "error", err)
		return w
	}
	w.notify, w.events, w.errors = notify, notify.Events, notify.Errors
	return w
}

func (w *watcher) close() {
	if w.notify == nil {
		return
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		w.notify.Close()
	}()
	select {
	case <-closed:
	case <-time.After(callPatience): // it waits for a hanging change of its watches
	}
}

// run scans at once, after notifications, and at intervals.
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
			reread = true
		case <-w.errors: // mostly an overflow: events were lost
			reread = true
		case <-w.calls.back:
		case <-timer.C:
			if scans%rereadEvery == 0 {
				reread = true
				w.calls.forget()
			}
			again, err := w.scan(ctx, reread)
			if err != nil {
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
		if time.Until(due) > gather {
			next(gather)
		}
	}
}

// scan compares the tree with what was reported of it. With reread, it compares contents even
// if size and time are unchanged. It reports whether another scan is needed soon. The error
// is ErrClosed.
func (w *watcher) scan(ctx context.Context, reread bool) (again bool, err error) {
	w.calls.begin()
	found := newTree()
	err = found.walk(ctx, w.calls)
	if _, closed := w.dir.current(); closed != nil {
		return false, closed
	}
	if ctx.Err() != nil {
		return false, nil
	}
	if err != nil {
		found.unknown[overrideDir] = err.Error()
	}
	again = w.watch(found.dirs)

	for key, info := range found.files {
		f := w.files[key]
		if f == nil {
			f = &watchedFile{}
			w.files[key] = f
		}
		soon, err := w.look(ctx, key, f, info, reread)
		if err != nil {
			found.unknown[overrideName(key)] = err.Error()
		}
		again = again || soon
	}
	for key, f := range w.files {
		if _, ok := found.files[key]; ok || !found.knows(key) {
			continue
		}
		delete(w.files, key)
		if f.told != "" {
			w.dir.logger.Debug("override is gone", "key", key)
			w.changed(key)
		}
	}
	w.warn(found)
	return again || len(w.calls.waited) > 0, nil
}

// warn logs once the names that are not overrides or could not be read.
func (w *watcher) warn(found *tree) {
	for name, why := range found.odd {
		if !w.warned[name] {
			w.dir.logger.Warn("not an override; ignored", "file", name, "why", why)
		}
	}
	for name, why := range found.unknown {
		if !w.warned[name] {
			w.dir.logger.Warn("overrides cannot be looked at; they stay as they are", "file", name, "why", why)
		}
	}
	clear(w.warned)
	for name := range found.odd {
		w.warned[name] = true
	}
	for name := range found.unknown {
		w.warned[name] = true
	}
}

// watchedFile is the known state of one override.
type watchedFile struct {
	info   fs.FileInfo // at the last scan
	since  time.Time   // when info was first seen
	read   fs.FileInfo // at the last read
	unread bool        // the last read hung
	told   string      // the state that changed was called for: a hash, or an error; "" none
}

// look compares one file with its known state, and reports whether the file must be compared
// again because it may be half-written. The error is that the file hangs.
func (w *watcher) look(ctx context.Context, key conf.Key, f *watchedFile, info fs.FileInfo, reread bool) (again bool, err error) {
	if f.info == nil || !unchanged(f.info, info) {
		f.since = time.Now()
	}
	f.info = info
	if f.read != nil && unchanged(f.read, info) && !reread && !f.unread {
		return false, nil
	}
	if !quiet(info) && time.Since(f.since) < settle {
		return true, nil
	}
	o, err := w.calls.read(ctx, key)
	f.unread = errors.Is(err, hung.ErrHangs)
	if f.unread {
		return false, err
	}
	if ctx.Err() != nil {
		return false, nil
	}
	if errors.Is(err, conf.ErrUnavailable) || errors.Is(err, conf.ErrNotFound) || err == nil && !unchanged(o.info, info) {
		return true, nil // changed since it was listed
	}
	f.read = info
	state := o.sum
	if err != nil {
		state = err.Error()
	}
	if state == f.told {
		return false, nil
	}
	f.told = state
	w.dir.logger.Debug("override has changed", "key", key, "error", err)
	w.changed(key)
	return false, nil
}

// watch asks for notifications of dirs, and reports whether some of them are new. Earlier
// changes in new directories were not notified.
func (w *watcher) watch(dirs map[string]fs.FileInfo) (added bool) {
	if w.notify == nil {
		return false
	}
	for name, info := range w.dirs {
		if now, ok := dirs[name]; ok && os.SameFile(now, info) {
			continue
		}
		// Usually the system has removed it already. The name may lead elsewhere now.
		if err := w.change(w.notify.Remove, name); errors.Is(err, hung.ErrHangs) {
			return false
		}
		delete(w.dirs, name)
	}
	for name, info := range dirs {
		if w.dirs[name] != nil {
			continue
		}
		err := w.change(w.notify.Add, name)
		if errors.Is(err, hung.ErrHangs) {
			return added // until it answers, rescans find changes
		}
		added = true
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		} else if err != nil { // logged once, because w.dirs keeps it
			w.dir.logger.Warn("no file notifications; overrides are only rescanned",
				"dir", name, "every", rescanEvery, "error", err)
		}
		w.dirs[name] = info
	}
	return added
}

// change turns notifications of the directory name on or off. Such calls wait for each other,
// so they hang together.
func (w *watcher) change(do func(string) error, name string) error {
	_, err := hung.Do(w.calls.making, call{op: "notify"}, func() (struct{}, error) {
		return struct{}{}, do(filepath.Join(w.dir.path, filepath.FromSlash(name)))
	}, nil)
	return err
}
