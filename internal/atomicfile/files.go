package atomicfile

import (
	"io/fs"
	"os"
	"runtime"
)

// files is what a write asks of a file system. Tests stop it at each call.
type files interface {
	create(name string, perm fs.FileMode) (file, error)
	rename(from, to string) error
	remove(name string) error
	syncDir(name string) error
}

// file is one being written.
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
		return nil, err // not f: a nil *os.File is no nil file
	}
	return f, nil
}

func (r rootFiles) rename(from, to string) error { return r.root.Rename(from, to) }

func (r rootFiles) remove(name string) error { return r.root.Remove(name) }

func (r rootFiles) syncDir(name string) error {
	if runtime.GOOS == "windows" {
		return nil // directories cannot be synced there, and need not be
	}
	d, err := r.root.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
