package localfile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/hung"
)

const (
	// callPatience is the time that a watcher waits for one call of the file system.
	callPatience = time.Second
	// maxCalls is the largest number of running calls of a watcher, including hanging ones.
	maxCalls = 64
	// maxHangingIn is the largest number of hanging calls about the names in one directory.
	maxHangingIn = 4
)

// call is a watcher's call of the file system.
type call struct {
	op   string
	name string // within the directory
}

// calls makes a watcher's calls of the file system, which may hang. It keeps the late
// result of a hanging call, and uses it until the call answers in time. So it can follow a
// slow file system too.
type calls struct {
	dir    *Dir
	making *hung.Calls[call]
	back   chan struct{} // a call that hung has returned

	// waited has the directories in which a call of this scan hung. Other names in them
	// are left to the next scan, so that many hanging files delay other directories no
	// longer than one does. Only the watcher's goroutine uses it.
	waited map[string]bool

	mu      sync.Mutex
	late    map[call]*lateResult // guarded by mu: results of calls that hung
	hanging map[string]int       // guarded by mu: number of hanging calls by directory
	all     int                  // guarded by mu: number of all hanging calls

	before func(call) // for tests: runs before each call
}

type lateResult struct {
	value any
	err   error
	asked bool // requested since the last call of forget
}

func newCalls(d *Dir) *calls {
	return &calls{
		dir: d, making: hung.New[call](callPatience, maxCalls), back: make(chan struct{}, 1),
		waited: map[string]bool{}, late: map[call]*lateResult{}, hanging: map[string]int{}, before: func(call) {},
	}
}

// begin starts a scan.
func (c *calls) begin() { clear(c.waited) }

// forget drops the late results that nobody has requested since its last call.
func (c *calls) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for what, r := range c.late {
		if !r.asked {
			delete(c.late, what)
		}
		r.asked = false
	}
}

// ask returns the result of do. If do hangs, ask returns its last result instead, or
// [hung.ErrHangs] if there is none yet; back then gets a message when do returns.
func ask[T any](ctx context.Context, c *calls, what call, do func() (T, error)) (value T, err error) {
	if err := ctx.Err(); err != nil {
		return value, err
	}
	err = hung.ErrNotMade
	waited := false
	if dir := path.Dir(what.name); !c.waited[dir] && !c.manyHang(dir) {
		value, err = hung.Do(c.making, what, func() (T, error) {
			c.before(what)
			return do()
		}, func(value T, err error) { c.returned(what, value, err) })
		if errors.Is(err, hung.ErrHangs) && !errors.Is(err, hung.ErrNotMade) {
			waited = true
			c.hangs(dir, +1)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !errors.Is(err, hung.ErrHangs) {
		delete(c.late, what)
	} else if r := c.late[what]; r != nil {
		r.asked = true
		value, _ = r.value.(T)
		err = r.err
	} else if waited {
		c.waited[path.Dir(what.name)] = true
	}
	return value, err
}

// returned records the result of a call that hung.
func (c *calls) returned(what call, value any, err error) {
	c.hangs(path.Dir(what.name), -1)
	c.mu.Lock()
	c.late[what] = &lateResult{value: value, err: err, asked: true}
	c.mu.Unlock()
	select {
	case c.back <- struct{}{}:
	default: // there is a message already
	}
}

// hangs adds more to the number of hanging calls about the names in dir.
func (c *calls) hangs(dir string, more int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all += more
	if c.hanging[dir] += more; c.hanging[dir] == 0 {
		delete(c.hanging, dir)
	}
}

// manyHang reports whether calls about the names in dir must wait until one returns. That
// is so if the limit for a directory is reached, or if any call hangs there and half of all
// places are taken. So directories that hang leave places for those that do not.
func (c *calls) manyHang(dir string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.hanging[dir]
	return n >= maxHangingIn || n > 0 && c.all >= maxCalls/2
}

// stat describes the file name, following a link.
func (c *calls) stat(ctx context.Context, name string) (fs.FileInfo, error) {
	return ask(ctx, c, call{"stat", name}, func() (info fs.FileInfo, err error) {
		err = c.dir.in(false, func(root *os.Root) (err error) {
			info, err = root.Stat(name)
			return err
		})
		return info, err
	})
}

// list returns the entries of the directory name, sorted by name.
func (c *calls) list(ctx context.Context, name string) ([]fs.DirEntry, error) {
	return ask(ctx, c, call{"list", name}, func() (entries []fs.DirEntry, err error) {
		err = c.dir.in(false, func(root *os.Root) (err error) {
			entries, err = fs.ReadDir(root.FS(), name)
			return err
		})
		return entries, err
	})
}

// overrideState describes an override as it was read, without its content.
type overrideState struct {
	sum  string
	info fs.FileInfo
}

// read reads the override of key. It uses a late result only once.
func (c *calls) read(ctx context.Context, key conf.Key) (overrideState, error) {
	what := call{"read", overrideName(key)}
	o, err := ask(ctx, c, what, func() (overrideState, error) {
		o, err := c.dir.readOverride(key)
		return overrideState{sum: "sha256:" + sum(o.content), info: o.info}, err
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.late, what)
	return o, err
}
