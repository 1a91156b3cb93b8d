package localfile

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/atomicfile"
	"github.com/linnaname/gdiamond/internal/diskfull"
)

const (
	snapshotDir  = "snapshots"
	overrideDir  = "overrides"
	clientIDFile = "client-id"
	storeIDFile  = "store-id"

	dirMode  fs.FileMode = 0o700
	fileMode fs.FileMode = 0o600

	// staleTemp is the age from which a temporary file counts as left by a crash.
	staleTemp = time.Hour
)

// Dir is a client's directory. It is safe for concurrent use.
type Dir struct {
	path          string // without symbolic links, as of when the directory was opened
	logger        *slog.Logger
	worldWritable bool

	reopening sync.Mutex // held while the directory is reopened; locked before mu

	mu     sync.Mutex // guards root and closed; never held during file access, which may hang
	root   *os.Root
	closed bool

	idMu     sync.Mutex // guards clientID
	clientID string     // "" until it has been read
}

var _ diamond.LocalFiles = (*Dir)(nil)

// Option changes a default of [Open].
type Option func(*Dir)

// WithLogger sets the logger. By default nothing is logged. No log record has a content.
func WithLogger(logger *slog.Logger) Option { return func(d *Dir) { d.logger = logger } }

// WithWorldWritable accepts overrides that every user of the host may write. They are
// refused by default, because anyone who can write one controls the application. On
// Windows none is refused, because the mode of a file does not show who may write it.
func WithWorldWritable() Option { return func(d *Dir) { d.worldWritable = true } }

// Open opens the directory dir for a client, and creates it if it does not exist. Each
// application should have a separate directory. If the directory cannot be written, as on a
// read-only file system, overrides are in force but snapshots are not kept. Errors are those
// of package fs, or wrap conf.ErrNoSpace.
func Open(dir string, opts ...Option) (*Dir, error) {
	d := &Dir{logger: slog.New(slog.DiscardHandler)}
	for _, opt := range opts {
		opt(d)
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fileError("open", err)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fileError("open", err)
	}
	if d.path, err = filepath.EvalSymlinks(abs); err != nil {
		return nil, fileError("open", err)
	}
	if d.root, err = openRoot(d.path); err != nil {
		return nil, fileError("open", err)
	}
	if err := d.prepare(d.root); err != nil {
		d.logger.Warn("snapshots cannot be kept; existing files are read", "dir", d.path, "error", err)
	}
	return d, nil
}

// Close closes the directory. Later calls fail with conf.ErrClosed; a second Close does
// nothing.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	return d.root.Close()
}

// prepare creates the tree in a new root, and removes leftovers of crashes.
func (d *Dir) prepare(root *os.Root) error {
	for _, name := range []string{snapshotDir, overrideDir} {
		if err := mkdir(root, name); err != nil {
			return err
		}
	}
	if n, err := atomicfile.Clean(root, snapshotDir, staleTemp); err != nil {
		d.logger.Warn("temporary files of a crash cannot be removed", "dir", d.path, "error", err)
	} else if n > 0 {
		d.logger.Info("temporary files of a crash removed", "dir", d.path, "files", n)
	}
	return nil
}

func mkdir(root *os.Root, name string) error {
	err := root.Mkdir(name, dirMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return root.Chmod(name, dirMode) // the umask may have removed bits
}

// openRoot opens the directory at path, which must not be a symbolic link.
func openRoot(path string) (*os.Root, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	opened, err := root.Stat(".")
	if err == nil {
		var there fs.FileInfo
		there, err = os.Lstat(path)
		if err == nil && !os.SameFile(opened, there) {
			err = &fs.PathError{Op: "open", Path: path, Err: errors.New("was a directory and now is a symbolic link")}
		}
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// in runs do in the directory. If a file is missing because the directory was deleted or
// replaced, in runs do once more in the new directory. With create, it creates that
// directory if necessary.
func (d *Dir) in(create bool, do func(root *os.Root) error) error {
	for again := false; ; again = true {
		root, err := d.current()
		if err != nil {
			return err
		}
		err = do(root)
		if errors.Is(err, fs.ErrClosed) { // another call has reopened the directory, or Close was called
			if root, err = d.current(); err == nil {
				err = do(root)
			}
		}
		if again || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if replaced, reopenErr := d.reopen(create); reopenErr != nil {
			return reopenErr
		} else if !replaced {
			return err
		}
	}
}

// current returns the directory that was opened last.
func (d *Dir) current() (*os.Root, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, conf.Errorf(conf.ErrClosed, "local files in %s", d.path)
	}
	return d.root, nil
}

// reopen opens the directory again if its path no longer leads to it, and with create
// creates missing parts. It reports whether anything is new.
func (d *Dir) reopen(create bool) (bool, error) {
	d.reopening.Lock()
	defer d.reopening.Unlock()
	old, err := d.current()
	if err != nil {
		return false, err
	}
	there, err := os.Lstat(d.path)
	switch {
	case err == nil:
		if now, err := old.Stat("."); err == nil && os.SameFile(now, there) {
			if !create {
				return false, nil
			}
			d.logger.Warn("a part of the directory of local files was deleted; creating it again", "dir", d.path)
			return true, d.prepare(old)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	case !create:
		return false, nil
	default:
		if err := os.MkdirAll(d.path, dirMode); err != nil {
			return false, err
		}
	}
	root, err := openRoot(d.path)
	if err != nil {
		return false, err
	}
	d.logger.Warn("the directory of local files was deleted or replaced; the present one is used", "dir", d.path)
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return false, root.Close()
	}
	d.root = root
	d.mu.Unlock()
	return true, errors.Join(d.prepare(root), old.Close())
}

// setAside renames a file that must not be used to *.corrupt, and replaces an earlier one.
func (d *Dir) setAside(root *os.Root, name, why string) error {
	aside := name + corruptSuffix
	err := root.Rename(name, aside)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// A directory may block the new name, or be the file to set aside.
		err = errors.Join(root.RemoveAll(aside), root.Rename(name, aside))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.logger.Warn("a damaged file cannot be set aside", "file", name, "why", why, "error", err)
		return err
	}
	d.logger.Warn("a damaged file is set aside", "file", name, "as", aside, "why", why)
	return nil
}

// unusable reports whether a file exists but can never be read.
func unusable(err error) bool {
	return errors.Is(err, atomicfile.ErrNotRegular) || errors.Is(err, atomicfile.ErrTooLarge)
}

// fileError adds the operation to err, and the sentinel for a full disk if it is one.
func fileError(op string, err error) error {
	if err == nil || errors.As(err, new(*conf.Error)) {
		return err
	}
	if reason := diskfull.Reason(err, conf.ErrNoSpace); reason != nil {
		return fmt.Errorf("localfile: %s: %w: %w", op, reason, err)
	}
	return fmt.Errorf("localfile: %s: %w", op, err)
}
