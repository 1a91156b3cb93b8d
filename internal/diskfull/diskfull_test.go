package diskfull

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestReason(t *testing.T) {
	full := errors.New("no space")
	for errno, text := range map[syscall.Errno]string{
		syscall.ENOSPC: "no space", syscall.EDQUOT: "no space", syscall.EFBIG: "no space", syscall.EROFS: "read-only",
	} {
		wrapped := &fs.PathError{Op: "write", Path: "f", Err: errno}
		for _, err := range []error{wrapped, fmt.Errorf("growing: %s", wrapped)} { // as text only, too
			reason := Reason(err, full)
			assert.ErrorIs(t, reason, full, "%v", err)
			assert.EqualError(t, reason, text)
		}
	}
	for _, other := range []error{syscall.EIO, fs.ErrNotExist, errors.New("no space left on device, they say")} {
		assert.NoError(t, Reason(other, full), "%v", other)
	}
}
