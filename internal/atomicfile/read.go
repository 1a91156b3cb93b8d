package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Errors of reading.
var (
	// ErrNotRegular is the error for a directory, a FIFO, a device or a symbolic link.
	ErrNotRegular = errors.New("not a regular file")
	// ErrTooLarge is the error for a file that is larger than the reader's limit.
	ErrTooLarge = errors.New("file too large")
)

// Read returns the content of the regular file name in root, which may have up to limit
// bytes. It never blocks on a FIFO, and does not follow name if it is a symbolic link. Errors
// wrap [ErrNotRegular], [ErrTooLarge] or those of package fs.
func Read(root *os.Root, name string, limit int64) ([]byte, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, notRegular(name, info)
	}
	data, _, err := ReadLinked(root, name, limit)
	return data, err
}

// ReadLinked is like [Read], but follows symbolic links that stay within root. It also
// returns the file's info as of the read.
func ReadLinked(root *os.Root, name string, limit int64) ([]byte, fs.FileInfo, error) {
	// Check before opening, because opening a device can have effects.
	info, err := root.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, notRegular(name, info)
	}
	// The file may have been replaced since: a FIFO must not block the open.
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, notRegular(name, info)
	}
	if info.Size() > limit {
		return nil, info, tooLarge(name, limit)
	}
	// One byte above the limit detects a file that has grown. The extra room lets the
	// buffer reach the end of the file without growing.
	buf := bytes.NewBuffer(make([]byte, 0, info.Size()+bytes.MinRead))
	if _, err := buf.ReadFrom(io.LimitReader(f, limit+1)); err != nil {
		return nil, info, err
	}
	if int64(buf.Len()) > limit {
		return nil, info, tooLarge(name, limit)
	}
	return buf.Bytes(), info, nil
}

func notRegular(name string, info fs.FileInfo) error {
	return &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("%w but %v", ErrNotRegular, info.Mode().Type())}
}

func tooLarge(name string, limit int64) error {
	return &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)}
}
