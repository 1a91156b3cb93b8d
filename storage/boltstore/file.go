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

// initialMap returns the smallest number of bytes of address space for the mapped file.
// It uses no memory. It is 0 on Windows, where the file would get that length, and on
// 32-bit systems.
func initialMap() int {
	if runtime.GOOS == "windows" || math.MaxInt == math.MaxInt32 {
		return 0
	}
	return 4 << 30
}

// replace creates a new file with fill and moves it to path, completely or not at all. It
// replaces an existing file if over is set, and otherwise fails with fs.ErrExist.
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

// moveNew renames a file to a name that must be free. It uses a link, which is atomic. On
// file systems without links it does the closest to that.
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

// removeTemps removes unfinished replacements of the store's file, which crashes leave
// behind. The caller holds the store's lock, so no replacement is in progress.
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

// syncPath syncs the contents of a closed file.
func syncPath(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncDir syncs the names in dir.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // not possible there, and not needed
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
