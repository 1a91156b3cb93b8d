package boltstore

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"

	diamond "github.com/linnaname/gdiamond"
)

// initialMap is how many bytes of address space the file is mapped with at the
// least. It costs no memory. Windows would give the file that length.
var initialMap = func() int {
	if runtime.GOOS == "windows" || math.MaxInt == math.MaxInt32 {
		return 0
	}
	return 4 << 30
}()

// replace makes a new file with fill and puts it at path, whole or not at all.
// An existing file is replaced if over says so, else left alone and an error.
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
	if !over {
		if _, err := os.Lstat(path); err == nil {
			return diamond.Errorf(diamond.ErrInvalid, "%s exists", path)
		}
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(dir)
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
