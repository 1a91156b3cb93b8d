// Package diskfull recognises errors that mean a disk is full or read-only.
package diskfull

import (
	"errors"
	"strings"
	"syscall"
)

// Reason returns full if err means that a disk is full, and an error that wraps full and says
// so if err means that a disk is read-only. Otherwise it returns nil.
func Reason(err, full error) error {
	switch {
	case is(err, syscall.EROFS):
		return readOnly{full}
	case is(err, syscall.ENOSPC), is(err, syscall.EDQUOT), is(err, syscall.EFBIG):
		return full
	}
	return nil
}

// is reports whether err is the system's error errno. It also compares texts, because some
// libraries pass on only the text of a cause.
func is(err error, errno syscall.Errno) bool {
	return errors.Is(err, errno) || strings.HasSuffix(err.Error(), errno.Error())
}

// readOnly wraps the error of a full disk for a read-only one.
type readOnly struct{ full error }

func (readOnly) Error() string   { return "read-only" }
func (r readOnly) Unwrap() error { return r.full }
