// Package privatefile checks the permissions of files with secrets.
package privatefile

import (
	"fmt"
	"io/fs"
	"runtime"
)

// Check refuses a file that everybody on the machine may read.
func Check(info fs.FileInfo) error { return check(info, runtime.GOOS) }

func check(info fs.FileInfo, system string) error {
	// On Windows the mode does not show the rights.
	if mode := info.Mode().Perm(); mode&0o007 != 0 && system != "windows" {
		return fmt.Errorf("has mode %04o, so that everybody on this machine can read it; chmod 600 it, or 640", mode)
	}
	return nil
}
