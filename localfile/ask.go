package localfile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/hung"
)

const (
	// callPatience is how long a watcher waits for one call of the file system.
	callPatience = time.Second
	// maxCalls is how many of its calls may be under way, those that hang included.
	maxCalls = 64
	// maxHangingIn is how many calls about what is in one directory may hang.
	maxHangingIn = 4
)

// call is one that a watcher makes to the file system.
type call struct {
	op   string
	name string // within the directory
}

// calls makes a watcher's calls to the file system, which may hang. What one that
// hung returns after all is kept: it counts until the call is answered in time.
// So a file system that is slow is followed too.
type calls struct {
	dir    *Dir
	making *hung.Calls[call]
	back   chan struct{} // a call that hung has returned

	// waited are the directories in which a call was waited for in vain in this scan.
	// What else is in them is left to the next one: many files that hang together
	// hold up those in other directories no longer than one does. Only the
	// watcher's goroutine uses it.
	waited map[string]bool

	mu      sync.Mutex
	late    map[call]*lateResult // guarded by mu: what calls that hung returned
	hanging map[string]int       // guarded by mu: how many of what is in each directory
	all     int                  // guarded by mu: how many in all of them

	before func(call) // tests: what each call does first
}

type lateResult struct {
	value any
	err   error
	asked bool // for, since forget looked last
}

func newCalls(d *Dir) *calls {
	return &calls{
		dir: d, making: hung.New[call](callPatience, maxCalls), back: make(chan struct{}, 1),
		waited: map[string]bool{}, late: map[call]*lateResult{}, hanging: map[string]int{}, before: func(call) {},
	}
}

// begin begins a scan.
func (c *calls) begin() { clear(c.waited) }

// forget forgets what calls returned late that nobody has asked for since it
// was called last.
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

// ask returns what do returns, or where that hangs, what it returned last. Where
// it has not returned yet the error is [hung.ErrHangs], and back has a message
// when it has.
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

// returned takes in what a call that hung returned.
func (c *calls) returned(what call, value any, err error) {
	c.hangs(path.Dir(what.name), -1)
	c.mu.Lock()
	c.late[what] = &lateResult{value: value, err: err, asked: true}
	c.mu.Unlock()
	select {
	case c.back <- struct{}{}:
	default: // it has a message
	}
}

// hangs notes how many more calls about what is in dir hang.
func (c *calls) hangs(dir string, more int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all += more
	if c.hanging[dir] += more; c.hanging[dir] == 0 {
		delete(c.hanging, dir)
	}
}

// manyHang reports whether no more calls are made about what is in dir until one of
// them returns: as many hang as may, or any does where half of all places are taken.
// So what hangs in many directories leaves places for those in which nothing does.
func (c *calls) manyHang(dir string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.hanging[dir]
	return n >= maxHangingIn || n > 0 && c.all >= maxCalls/2
}

// stat tells what name is, or where the link leads that it is.
func (c *calls) stat(ctx context.Context, name string) (fs.FileInfo, error) {
	return ask(ctx, c, call{"stat", name}, func() (info fs.FileInfo, err error) {
		err = c.dir.in(false, func(root *os.Root) (err error) {
			info, err = root.Stat(name)
			return err
		})
		return info, err
	})
}

// list returns what is in the directory name, in the order of names.
func (c *calls) list(ctx context.Context, name string) ([]fs.DirEntry, error) {
	return ask(ctx, c, call{"list", name}, func() (entries []fs.DirEntry, err error) {
		err = c.dir.in(false, func(root *os.Root) (err error) {
			entries, err = fs.ReadDir(root.FS(), name)
			return err
		})
		return entries, err
	})
}

// overrideState is what an override was when it was read, without its content.
type overrideState struct {
	sum  string
	info fs.FileInfo
}

// read reads the override of key. What it returned late counts once.
func (c *calls) read(ctx context.Context, key diamond.Key) (overrideState, error) {
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
