package main

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	diamond "github.com/linnaname/gdiamond"
)

// treeWriter writes entries in key order as the files of a tree. Only their owner can
// read the files, because contents may be secrets.
type treeWriter struct {
	root     *os.Root
	manifest *manifestWriter
	group    string // of the previous entry
	dir      string // of that group
}

func newTreeWriter(root *os.Root, namespace string) (*treeWriter, error) {
	manifest, err := newManifest(root, namespace)
	if err != nil {
		return nil, err
	}
	return &treeWriter{root: root, manifest: manifest}, nil
}

func (w *treeWriter) close() error { return w.manifest.close() }

// write creates the file of an entry. It overwrites nothing: if the file system takes
// the names of two keys for the same, as one that folds case does, the second key gets
// another name.
func (w *treeWriter) write(e *diamond.Entry) error {
	if err := e.Key.Validate(); err != nil { // an invalid name from a server could lead to any path
		return err
	}
	if err := w.enter(e.Key.Group); err != nil {
		return err
	}
	name := path.Join(w.dir, fileName(e.Key.DataID))
	err := w.create(name, e.Content)
	if errors.Is(err, fs.ErrExist) {
		name = path.Join(w.dir, otherFileName(e.Key.DataID))
		err = w.create(name, e.Content)
	}
	if err != nil {
		return err
	}
	return w.manifest.add(name, e)
}

// enter creates the directory of a group.
func (w *treeWriter) enter(group string) error {
	if w.dir != "" && w.group == group {
		return nil
	}
	dir := fileName(group)
	err := w.root.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) { // entries come group by group, so it belongs to another group
		dir = otherFileName(group)
		err = w.root.Mkdir(dir, 0o700)
	}
	if err == nil {
		w.group, w.dir = group, dir
	}
	return err
}

func (w *treeWriter) create(name, content string) error {
	file, err := w.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, content)
	return cmp.Or(err, file.Close())
}

// ofName reports whether err means that a name is not possible here. Other names may
// still be.
func ofName(err error) bool {
	return errors.Is(err, syscall.ENAMETOOLONG) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EILSEQ) ||
		errors.Is(err, fs.ErrExist)
}
