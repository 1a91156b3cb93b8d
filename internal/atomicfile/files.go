package atomicfile

import (
	"io/fs"
	"os"
	"runtime"
)

// files has the file system calls of a write. Tests fail each of them.
type files interface {
	create(name string, perm fs.FileMode) (file, error)
	rename(from, to string) error
	remove(name string) error
	syncDir(name string) error
}

// file is a file that is being written.
type file interface {
	Chmod(perm fs.FileMode) error
	Write(data []byte) (int, error)
	Sync() error
	Close() error
}

// rootFiles is the real file system, inside a root.
type rootFiles struct{ root *os.Root }

func (r rootFiles) create(name string, perm fs.FileMode) (file, error) {
	f, err := r.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, err // not f, because a nil *os.File is not a nil file
	}
	return f, nil
}

func (r rootFiles) rename(from, to string) error { return r.root.Rename(from, to) }

func (r rootFiles) remove(name string) error { return r.root.Remove(name) }

func (r rootFiles) syncDir(name string) error {
	if runtime.GOOS == "windows" {
		return nil // directories cannot and need not be synced there
	}
	d, err := r.root.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
