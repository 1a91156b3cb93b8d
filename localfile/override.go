package localfile

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/atomicfile"
	"github.com/linnaname/gdiamond/internal/windowsname"
)

// MaxOverride is how large an override may be, in bytes.
const MaxOverride = 64 << 20

const (
	// settle is how long a file must not have changed before it counts as whole.
	settle = 500 * time.Millisecond
	// overrideWait is how long Override waits for that.
	overrideWait = 1500 * time.Millisecond
)

// Override returns the content of the operator's file for key. ErrNotFound:
// there is none. ErrInvalid: no such key, or the file is not a regular one or
// may be written by everybody. ErrTooLarge: it is over [MaxOverride].
// ErrUnavailable: it is being written. For a file changed within the last half
// second Override waits until it stays as it is, up to a second and a half.
func (d *Dir) Override(key diamond.Key) (string, error) {
	key, err := check("read override", key, diamond.SlotFetched)
	if err != nil {
		return "", err
	}
	var last overrideFile
	for waited := time.Duration(0); ; waited += settle {
		f, err := d.readOverride(key)
		if err != nil && !errors.Is(err, diamond.ErrUnavailable) {
			return "", err
		}
		if err == nil && (quiet(f.info) || last.info != nil && unchanged(last.info, f.info) && last.content == f.content) {
			return f.content, nil
		}
		if waited >= overrideWait {
			return "", beingWritten(key)
		}
		last = f
		time.Sleep(settle)
	}
}

// overrideFile is an override as it was at one moment.
type overrideFile struct {
	content string
	info    fs.FileInfo
}

// readOverride reads the file of key as it is now, which may be half-written
// unless it has been unchanged for a while. ErrUnavailable: it changed under the reader.
func (d *Dir) readOverride(key diamond.Key) (overrideFile, error) {
	if !overridable(runtime.GOOS, key) {
		return overrideFile{}, overrideError(key, diamond.ErrNotFound, "")
	}
	var content []byte
	var info, after fs.FileInfo
	err := d.in(false, func(root *os.Root) (err error) {
		name := overrideName(key)
		if content, info, err = atomicfile.ReadLinked(root, name, MaxOverride); err == nil {
			after, err = root.Stat(name)
		}
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return overrideFile{}, overrideError(key, diamond.ErrNotFound, "")
	case errors.Is(err, atomicfile.ErrTooLarge):
		return overrideFile{}, overrideError(key, diamond.ErrTooLarge, err.Error())
	case errors.Is(err, atomicfile.ErrNotRegular):
		return overrideFile{}, overrideError(key, diamond.ErrInvalid, err.Error())
	case err != nil:
		return overrideFile{}, fileError("read override of "+key.String(), err)
	case !d.worldWritable && writableByAll(runtime.GOOS, info.Mode()):
		return overrideFile{}, overrideError(key, diamond.ErrInvalid, "every user of the host may write the file; chmod o-w it")
	case !unchanged(info, after) || info.Size() != int64(len(content)):
		return overrideFile{}, beingWritten(key)
	}
	return overrideFile{string(content), info}, nil
}

// writableByAll reports whether every user of a host that runs goos may write a
// file of mode. On Windows the bits say nothing of that: rights are elsewhere,
// and each file that is not read-only has all of them.
func writableByAll(goos string, mode fs.FileMode) bool {
	return goos != "windows" && mode.Perm()&0o002 != 0
}

func beingWritten(key diamond.Key) error {
	return overrideError(key, diamond.ErrUnavailable, "the file is being written")
}

func overrideError(key diamond.Key, sentinel error, detail string) error {
	return &diamond.Error{Op: "read override", Key: key, Err: sentinel, Detail: detail}
}

// quiet reports whether the file was last changed so long ago that it is whole.
// It trusts the clock; where that is behind the file's, the answer is no.
func quiet(info fs.FileInfo) bool { return time.Since(info.ModTime()) >= settle }

// unchanged reports whether a and b are one file that was not changed in
// between, as far as can be told without reading it.
func unchanged(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode()
}

// overrideName returns the name of the operator's file for key, within the directory.
func overrideName(key diamond.Key) string {
	return path.Join(overrideDir, key.Namespace, key.Group, key.DataID)
}

// overridable reports whether the operator can override key on goos. Names that
// begin with two dots are those of a mounted volume's inner directories. Windows
// takes some names for something else: "app." for "app", which is another key.
func overridable(goos string, key diamond.Key) bool {
	for _, part := range [...]string{key.Namespace, key.Group, key.DataID} {
		if strings.HasPrefix(part, "..") || goos == "windows" && !windowsname.File(part) {
			return false
		}
	}
	return key.Validate() == nil
}

// keyAt returns the key of the override at namespace/group/dataId on goos.
func keyAt(goos, name string) (diamond.Key, bool) {
	parts := strings.Split(name, "/")
	if len(parts) != 3 {
		return diamond.Key{}, false
	}
	for _, part := range parts {
		if part == "" { // the zero part of a key, but no file's name
			return diamond.Key{}, false
		}
	}
	key := diamond.Key{Namespace: parts[0], Group: parts[1], DataID: parts[2]}
	return key, overridable(goos, key)
}
