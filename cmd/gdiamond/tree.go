package main

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// tree is a directory of configurations. Its files are group/dataId, named by
// [fileName], and a manifest records what they cannot.
type tree struct {
	root       *os.Root
	namespace  string
	allowEmpty bool
	force      bool // pass guards
}

// treeFile is a file that can be published.
type treeFile struct {
	path string // group/dataId
	key  diamond.Key
	size int64
	md5  string        // of the content
	line *manifestLine // or nil if the manifest does not name the file
}

// found is the result of a scan of a tree.
type found struct {
	files    []treeFile // in key order
	problems []error    // one for each file that cannot be published
	skipped  []string   // paths of hidden files, and those of systems and editors
}

// scan checks all files of the tree.
func (t *tree) scan() (found, error) {
	var f found
	manifest, err := readManifest(t.root)
	if err != nil {
		return f, err
	}
	err = fs.WalkDir(t.root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path != "." && systemFile(d.Name()) {
			if path != manifestName {
				f.skipped = append(f.skipped, path)
			}
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		file, err := t.check(path, d, manifest)
		if err != nil {
			f.problems = append(f.problems, fmt.Errorf("%q: %w", path, err))
			return nil
		}
		f.files = append(f.files, file)
		return nil
	})
	slices.SortFunc(f.files, func(a, b treeFile) int { return a.key.Compare(b.key) })
	for i := 1; i < len(f.files); i++ {
		if a, b := f.files[i-1], f.files[i]; a.key == b.key {
			f.problems = append(f.problems, fmt.Errorf("%q: has the same key as %q", b.path, a.path))
		}
	}
	return f, err
}

func (t *tree) check(path string, d fs.DirEntry, manifest map[string]manifestLine) (treeFile, error) {
	file := treeFile{path: path}
	group, dataID, _ := strings.Cut(path, "/")
	switch {
	case dataID == "":
		return file, errors.New("is not in a group; files must be group/dataId")
	case strings.Contains(dataID, "/"):
		return file, errors.New("is too deep; files must be group/dataId")
	case !d.Type().IsRegular():
		return file, errors.New("is not a regular file")
	}
	var err error
	if line, ok := manifest[path]; ok {
		file.line = &line
		group, dataID = line.Group, line.DataID
	} else if group, err = partOf(group); err != nil {
		return file, err
	} else if dataID, err = partOf(dataID); err != nil {
		return file, err
	}
	file.key = diamond.Key{Namespace: t.namespace, Group: group, DataID: dataID}
	if err := checkSet(file.draft(""), ""); err != nil {
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
	content, err := t.root.ReadFile(path)
	if err != nil {
		return file, err
	}
	draft := file.draft(string(content))
	if !t.allowEmpty && !draft.AllowEmpty && blank(draft) {
		return file, errBlank
	}
	file.md5 = conf.MD5Hex(draft.Content)
	return file, nil
}

// blank reports whether servers refuse an otherwise valid draft for its blank content.
func blank(d diamond.Draft) bool {
	d.AllowEmpty = false
	return checkChanges(diamond.ChangeSet{Drafts: []diamond.Draft{d}}) != nil
}

// draft returns the draft that publishes content as the value of the file's key. A
// manifest line replaces the type and metadata of the key; without one they stay.
func (f *treeFile) draft(content string) diamond.Draft {
	d := diamond.Draft{Key: f.key, Content: content}
	if f.line != nil {
		d.Type, d.Meta, d.Reset, d.AllowEmpty = f.line.Type, f.line.Meta, true, f.line.Blank
	}
	return d
}

// equal reports whether publishing the file would leave e unchanged.
func (f *treeFile) equal(e *diamond.Entry) bool {
	if e.Size != f.size || e.MD5 != f.md5 {
		return false
	}
	return f.line == nil || f.line.Type == e.Type && maps.Equal(f.line.Meta, e.Meta)
}

// sets yields change sets that publish the files whose content, type or metadata
// differs from present. Each set is as large as allowed.
func (t *tree) sets(files []treeFile, present map[diamond.Key]diamond.Entry, comment string) iter.Seq2[diamond.ChangeSet, error] {
	return func(yield func(diamond.ChangeSet, error) bool) {
		set := diamond.ChangeSet{Comment: comment, Force: t.force, Origin: originImport}
		var size int64
		for _, file := range files {
			if e, ok := present[file.key]; ok && file.equal(&e) {
				continue
			}
			content, err := t.root.ReadFile(file.path)
			if err != nil {
				yield(set, err)
				return
			}
			draft := file.draft(string(content))
			if len(set.Drafts) == conf.MaxChanges || size+int64(len(content)) > conf.MaxSetBytes {
				if !yield(set, nil) {
					return
				}
				set.Drafts, size = nil, 0
			}
			draft.AllowEmpty = draft.AllowEmpty || t.allowEmpty
			set.Drafts = append(set.Drafts, draft)
			size += int64(len(content))
		}
		if len(set.Drafts) > 0 {
			yield(set, nil)
		}
	}
}

// detail returns the detail of an error without its operation and key.
func detail(err error) error {
	var e *diamond.Error
	if errors.As(err, &e) && e.Detail != "" {
		return errors.New(e.Detail)
	}
	return err
}
