// Package atomicfile replaces files so that a reader sees either the whole old or the
// whole new content, even after a power loss. It also reads files that others may have
// tampered with. All access stays inside an [os.Root].
package atomicfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// tempPrefix is the start of the names of temporary files. They are in the directory of
// their target, because a rename is atomic only within one file system.
const tempPrefix = ".tmp-"

// Write replaces or creates the file name in root with data and the mode perm, regardless
// of the umask. It writes a temporary file in the same directory, syncs it, renames it to
// name, and syncs the directory.
//
// On an error it removes the temporary file, and name has its old content unless the last
// sync failed. Write replaces a symbolic link instead of following it.
//
// It is safe for concurrent use, even by several processes: the last one wins.
func Write(root *os.Root, name string, data []byte, perm fs.FileMode) error {
	return write(rootFiles{root}, name, data, perm)
}

func write(files files, name string, data []byte, perm fs.FileMode) error {
	dir := path.Dir(name)
	temp := path.Join(dir, tempPrefix+rand.Text())
	if err := fill(files, temp, data, perm); err != nil {
		return err
	}
	if err := files.rename(temp, name); err != nil {
		return errors.Join(err, files.remove(temp))
	}
	// Until the directory is synced, a power loss may restore the old file.
	return files.syncDir(dir)
}

// fill writes the whole temporary file and syncs it, or removes it.
func fill(files files, temp string, data []byte, perm fs.FileMode) (err error) {
	f, err := files.create(temp, perm)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, files.remove(temp))
		}
	}()
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Chmod(perm); err != nil { // the umask may have removed bits
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// Remove durably removes the file or directory name, if it exists.
func Remove(root *os.Root, name string) error {
	err := root.RemoveAll(name)
	if err == nil {
		err = rootFiles{root}.syncDir(path.Dir(name))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Clean removes temporary files of crashed writers from dir, if they have not changed for
// age. A running writer whose file is removed fails with fs.ErrNotExist and leaves the old
// content. Clean returns the number of removed files.
func Clean(root *os.Root, dir string, age time.Duration) (int, error) {
	entries, err := fs.ReadDir(root.FS(), dir)
	if err != nil {
		return 0, err
	}
	removed := 0
	var errs []error
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix) || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < age {
			continue // removed meanwhile, or being written
		}
		if err := root.Remove(path.Join(dir, e.Name())); err != nil {
			errs = append(errs, err)
			continue
		}
		removed++
	}
	if err := errors.Join(errs...); err != nil {
		return removed, fmt.Errorf("clean %s: %w", dir, err)
	}
	return removed, nil
}
