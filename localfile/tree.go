package localfile

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"

	diamond "github.com/linnaname/gdiamond"
)

// tree is what lies under overrides.
type tree struct {
	files   map[diamond.Key]fs.FileInfo
	dirs    map[string]fs.FileInfo
	odd     map[string]string // what is not an override, and why
	partial bool              // a directory could not be listed
}

func newTree() *tree {
	return &tree{files: map[diamond.Key]fs.FileInfo{}, dirs: map[string]fs.FileInfo{}, odd: map[string]string{}}
}

func (t *tree) walk(root *os.Root) error {
	above, err := root.Stat(".")
	if err != nil {
		return err
	}
	t.dirs["."] = above // the whole tree may go and come
	info, err := root.Stat(overrideDir)
	if err != nil {
		return err
	}
	return t.list(root, overrideDir, info, 0)
}

// list takes in the directory name, which lies depth directories below overrides.
func (t *tree) list(root *os.Root, name string, info fs.FileInfo, depth int) error {
	entries, err := fs.ReadDir(root.FS(), name)
	if err != nil {
		return err
	}
	t.dirs[name] = info
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "..") {
			continue
		}
		child := path.Join(name, e.Name())
		info, err := root.Stat(child) // where a link leads
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone meanwhile, or a dangling link
		case err != nil:
			t.odd[child] = err.Error()
		case depth < 2 && !info.IsDir():
			t.odd[child] = "it lies above overrides/namespace/group"
		case depth < 2:
			if err := t.list(root, child, info, depth+1); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.odd[child] = err.Error()
				t.partial = true
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
