package boltstore

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// initialMap is how many bytes of address space the file is mapped with at the
// least. It costs no memory. Windows would give the file that length.
func initialMap() int {
	if runtime.GOOS == "windows" || math.MaxInt == math.MaxInt32 {
		return 0
	}
	return 4 << 30
}

// replace makes a new file with fill and puts it at path, whole or not at all.
// An existing file is replaced if over says so, else left alone and fs.ErrExist.
func replace(path string, over bool, fill func(temp string) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, tempPrefix+"*") // mode 0600
	if err != nil {
		return err
	}
	temp := f.Name()
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(temp)))
		}
	}()
	if err := f.Close(); err != nil {
		return err
	}
	if err := fill(temp); err != nil {
		return err
	}
	if err := syncPath(temp); err != nil {
		return err
	}
	if over {
		err = os.Rename(temp, path)
	} else {
		err = moveNew(temp, path)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// moveNew renames a file to a name that must be free. A link is made at once or
// fails; file systems without links get the nearest to it.
func moveNew(from, to string) error {
	err := os.Link(from, to)
	if err == nil {
		return os.Remove(from)
	}
	if _, there := os.Lstat(to); there == nil || errors.Is(err, fs.ErrExist) {
		return &fs.PathError{Op: "create", Path: to, Err: fs.ErrExist}
	}
	return os.Rename(from, to)
}

// removeTemps removes what crashes have left of files that were to take the
// store's place. The caller holds the store's lock, so that none is being made.
func removeTemps(dir string) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, n := range names {
		if strings.HasPrefix(n.Name(), tempPrefix) {
			_ = os.Remove(filepath.Join(dir, n.Name()))
		}
	}
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// syncPath puts the bytes of a closed file on stable storage.
func syncPath(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncDir puts the names in dir on stable storage.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // it cannot, and need not
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
