package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
	"unicode"

	diamond "github.com/linnaname/gdiamond"
)

// tree is a directory of configurations: its files are group/dataId.
type tree struct {
	root       *os.Root
	namespace  string
	allowEmpty bool
}

// treeFile is a file that can be published.
type treeFile struct {
	path string // group/dataId
	key  diamond.Key
	size int64
}

// scan returns the files of the tree in key order, and what is wrong with each
// that cannot be published.
func (t *tree) scan() (files []treeFile, problems []error, err error) {
	err = fs.WalkDir(t.root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return nil
		}
		file, err := t.check(path, d)
		if err != nil {
			problems = append(problems, fmt.Errorf("%q: %w", path, err))
			return nil
		}
		files = append(files, file)
		return nil
	})
	slices.SortFunc(files, func(a, b treeFile) int { return a.key.Compare(b.key) })
	return files, problems, err
}

func (t *tree) check(path string, d fs.DirEntry) (treeFile, error) {
	file := treeFile{path: path}
	group, dataID, _ := strings.Cut(path, "/")
	switch {
	case dataID == "":
		return file, errors.New("lies in no group; files are to be group/dataId")
	case strings.Contains(dataID, "/"):
		return file, errors.New("lies too deep; files are to be group/dataId")
	case !d.Type().IsRegular():
		return file, errors.New("is not a regular file")
	}
	file.key = diamond.Key{Namespace: t.namespace, Group: group, DataID: dataID}
	if err := file.key.Validate(); err != nil {
		return file, detail(err)
	}
	info, err := d.Info()
	if err != nil {
		return file, err
	}
	file.size = info.Size()
	if file.size > diamond.DefaultMaxContent {
		return file, fmt.Errorf("content: %d bytes, more than %d", file.size, diamond.DefaultMaxContent)
	}
	if t.allowEmpty {
		return file, nil
	}
	blank, err := t.blank(path)
	if err == nil && blank {
		err = errBlank
	}
	return file, err
}

// blank reports whether a file holds nothing but white space, reading no
// further than the first byte that is something else.
func (t *tree) blank(path string) (bool, error) {
	file, err := t.root.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	r := bufio.NewReader(file)
	for {
		c, _, err := r.ReadRune()
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil || !unicode.IsSpace(c) {
			return false, err
		}
	}
}

// sets yields change sets that publish files, each as large as a set may be.
func (t *tree) sets(files []treeFile, comment string) iter.Seq2[diamond.ChangeSet, error] {
	return func(yield func(diamond.ChangeSet, error) bool) {
		set := diamond.ChangeSet{Comment: comment}
		var size int64
		for _, file := range files {
			content, err := t.root.ReadFile(file.path)
			if err != nil {
				yield(set, err)
				return
			}
			if len(set.Drafts) == diamond.MaxChanges || size+int64(len(content)) > diamond.MaxSetBytes {
				if !yield(set, nil) {
					return
				}
				set.Drafts, size = nil, 0
			}
			set.Drafts = append(set.Drafts, diamond.Draft{Key: file.key, Content: string(content), AllowEmpty: t.allowEmpty})
			size += int64(len(content))
		}
		if len(set.Drafts) > 0 {
			yield(set, nil)
		}
	}
}

// write makes the file of an entry, which must not exist yet: two keys that
// one file name stands for, as where case is folded, must not become one file.
func (t *tree) write(entry *diamond.Entry) error {
	if err := t.root.Mkdir(entry.Key.Group, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	file, err := t.root.OpenFile(entry.Key.Group+"/"+entry.Key.DataID, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, entry.Content)
	return cmp.Or(err, file.Close())
}

// detail returns what an error says without what it was said of.
func detail(err error) error {
	var e *diamond.Error
	if errors.As(err, &e) && e.Detail != "" {
		return errors.New(e.Detail)
	}
	return err
}
