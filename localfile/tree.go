package localfile

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"runtime"
	"strings"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/hung"
)

// tree describes the files under overrides.
type tree struct {
	files   map[conf.Key]fs.FileInfo
	dirs    map[string]fs.FileInfo
	odd     map[string]string // names that are not overrides, with the reason
	unknown map[string]string // names that could not be read, with everything below, and the reason
}

func newTree() *tree {
	return &tree{
		files: map[conf.Key]fs.FileInfo{}, dirs: map[string]fs.FileInfo{},
		odd: map[string]string{}, unknown: map[string]string{},
	}
}

// knows reports whether files shows for certain whether the override of key exists.
func (t *tree) knows(key conf.Key) bool {
	for name := overrideName(key); name != "."; name = path.Dir(name) {
		if _, ok := t.unknown[name]; ok {
			return false
		}
	}
	return true
}

// walk reads the whole tree. Its errors are those of the directory of all local files.
func (t *tree) walk(ctx context.Context, c *calls) error {
	info, err := c.stat(ctx, overrideDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	above, aboveErr := c.stat(ctx, ".")
	if aboveErr != nil {
		return aboveErr
	}
	t.dirs["."] = above // the whole tree may disappear and come back
	if err != nil {
		return nil // there is no tree
	}
	return t.list(ctx, c, overrideDir, info, 0)
}

// list reads the directory name, which is depth directories below overrides.
func (t *tree) list(ctx context.Context, c *calls, name string, info fs.FileInfo, depth int) error {
	entries, err := c.list(ctx, name)
	if err != nil {
		return err
	}
	t.dirs[name] = info
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "..") {
			continue
		}
		child := path.Join(name, e.Name())
		info, err := c.stat(ctx, child) // the target of a link
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile, or a dangling link
		case errors.Is(err, hung.ErrHangs):
			t.unknown[child] = err.Error()
		case err != nil:
			t.odd[child] = err.Error()
		case depth < 2 && !info.IsDir():
			t.odd[child] = "it lies above overrides/namespace/group"
		case depth < 2:
			if err := t.list(ctx, c, child, info, depth+1); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.unknown[child] = err.Error()
			}
		case info.IsDir():
			t.odd[child] = "it is a directory below overrides/namespace/group"
		default:
			key, ok := keyAt(runtime.GOOS, strings.TrimPrefix(child, overrideDir+"/"))
			if !ok {
				t.odd[child] = "its path is not a key"
				continue
			}
			t.files[key] = info
		}
	}
	return nil
}
