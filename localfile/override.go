package localfile

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/atomicfile"
	"github.com/linnaname/gdiamond/internal/windowsname"
)

// MaxOverride is the largest size of an override, in bytes.
const MaxOverride = 64 << 20

const (
	// settle is the time without a change after which a file counts as complete.
	settle = 500 * time.Millisecond
	// overrideWait is the time that Override waits for that.
	overrideWait = 1500 * time.Millisecond
)

// Override returns the content of the operator's file for key. If the file changed within
// the last half second, Override waits up to a second and a half until it no longer changes.
//
// The error is ErrNotFound if there is no file, and ErrInvalid if the key is invalid, the
// file is not a regular file or everybody may write it. It is ErrTooLarge if the file is
// larger than [MaxOverride], and ErrUnavailable if the file is being written.
func (d *Dir) Override(key conf.Key) (string, error) {
	key, err := check("read override", key, conf.SlotFetched)
	if err != nil {
		return "", err
	}
	var last overrideFile
	for waited := time.Duration(0); ; waited += settle {
		f, err := d.readOverride(key)
		if err != nil && !errors.Is(err, conf.ErrUnavailable) {
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

// overrideFile is the state of an override at one moment.
type overrideFile struct {
	content string
	info    fs.FileInfo
}

// readOverride reads the present file of key, which may be half-written if it has just
// changed. The error is ErrUnavailable if the file changed during the read.
func (d *Dir) readOverride(key conf.Key) (overrideFile, error) {
	if !overridable(runtime.GOOS, key) {
		return overrideFile{}, overrideError(key, conf.ErrNotFound, "")
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
		return overrideFile{}, overrideError(key, conf.ErrNotFound, "")
	case errors.Is(err, atomicfile.ErrTooLarge):
		return overrideFile{}, overrideError(key, conf.ErrTooLarge, err.Error())
	case errors.Is(err, atomicfile.ErrNotRegular):
		return overrideFile{}, overrideError(key, conf.ErrInvalid, err.Error())
	case err != nil:
		return overrideFile{}, fileError("read override of "+key.String(), err)
	case !d.worldWritable && writableByAll(runtime.GOOS, info.Mode()):
		return overrideFile{}, overrideError(key, conf.ErrInvalid, "every user of the host may write the file; chmod o-w it")
	case !unchanged(info, after) || info.Size() != int64(len(content)):
		return overrideFile{}, beingWritten(key)
	}
	return overrideFile{string(content), info}, nil
}

// writableByAll reports whether every user of a host that runs goos may write a file of
// mode. On Windows it returns false, because the bits do not show the rights: every file
// that is not read-only has all of them.
func writableByAll(goos string, mode fs.FileMode) bool {
	return goos != "windows" && mode.Perm()&0o002 != 0
}

func beingWritten(key conf.Key) error {
	return overrideError(key, conf.ErrUnavailable, "the file is being written")
}

func overrideError(key conf.Key, sentinel error, detail string) error {
	return &conf.Error{Op: "read override", Key: key, Err: sentinel, Detail: detail}
}

// quiet reports whether the last change of the file is long enough ago for it to be
// complete. It trusts the clock, and returns false if the clock is behind the file's time.
func quiet(info fs.FileInfo) bool { return time.Since(info.ModTime()) >= settle }

// unchanged reports whether a and b seem to be the same unchanged file, without reading it.
func unchanged(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode()
}

// overrideName returns the name of the operator's file for key, within the directory.
func overrideName(key conf.Key) string {
	return path.Join(overrideDir, key.Namespace, key.Group, key.DataID)
}

// overridable reports whether the operator can override key on goos. Names that begin with
// two dots are those of a mounted volume's inner directories. Windows changes some names:
// it takes "app." for "app", which is another key.
func overridable(goos string, key conf.Key) bool {
	for _, part := range [...]string{key.Namespace, key.Group, key.DataID} {
		if strings.HasPrefix(part, "..") || goos == "windows" && !windowsname.File(part) {
			return false
		}
	}
	return key.Validate() == nil
}

// keyAt returns the key of the override at namespace/group/dataId on goos.
func keyAt(goos, name string) (conf.Key, bool) {
	parts := strings.Split(name, "/")
	if len(parts) != 3 {
		return conf.Key{}, false
	}
	for _, part := range parts {
		if part == "" { // valid as a part of a key, but not as a file name
			return conf.Key{}, false
		}
	}
	key := conf.Key{Namespace: parts[0], Group: parts[1], DataID: parts[2]}
	return key, overridable(goos, key)
}
