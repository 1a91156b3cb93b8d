// Package atomicfile replaces files so that a reader, and a machine that lost
// its power, sees either the whole old content or the whole new one; and it
// reads files that others may have tampered with. All of it stays inside an
// [os.Root].
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

// tempPrefix begins the names of files that are being written. They lie in the
// directory of their target, because a rename is atomic only within one file system.
const tempPrefix = ".tmp-"

// Write replaces the content of name in root with data, or makes the file, and
// gives it the mode perm whatever the umask. It writes a temporary file in the
// same directory, syncs it, renames it to name, and syncs the directory.
//
// On an error the temporary file is removed, and name has its old content
// unless it was the last sync that failed. What name was before matters not: a
// symbolic link is replaced, not followed.
//
// It is safe for concurrent use, also by several processes: the last one wins.
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
	// Until the directory is synced a power loss may bring the old name back.
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
	if err := f.Chmod(perm); err != nil { // the umask may have taken bits away
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// Remove removes name, whatever it is, so that no power loss brings it back.
// That there is nothing is fine.
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

// Clean removes from dir the temporary files that crashed writers left there,
// those not touched for age. A living writer whose file is taken away fails
// with fs.ErrNotExist and leaves the old content. It returns how many it removed.
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
			continue // gone meanwhile, or being written
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
