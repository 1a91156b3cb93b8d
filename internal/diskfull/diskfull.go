// Package diskfull tells of errors whether they say that a disk takes no more bytes.
package diskfull

import (
	"errors"
	"strings"
	"syscall"
)

// Reason returns an error that wraps full where err says that its disk takes no
// more bytes: full itself, or, where the disk is read-only, one whose text says
// that. Else it returns nil.
func Reason(err, full error) error {
	switch {
	case is(err, syscall.EROFS):
		return readOnly{full}
	case is(err, syscall.ENOSPC), is(err, syscall.EDQUOT), is(err, syscall.EFBIG):
		return full
	}
	return nil
}

// is reports whether err is one of the system's. Some libraries pass the cause
// on as text only.
func is(err error, errno syscall.Errno) bool {
	return errors.Is(err, errno) || strings.HasSuffix(err.Error(), errno.Error())
}

// readOnly wraps the error of a full disk for one that can only be read.
type readOnly struct{ full error }

func (readOnly) Error() string   { return "read-only" }
func (r readOnly) Unwrap() error { return r.full }
