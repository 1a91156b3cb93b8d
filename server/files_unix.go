//go:build unix

package server

import "syscall"

// openFiles returns the maximum number of files that this process may have open. The
// runtime has raised it to the highest that the system permits.
func openFiles() int64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return unlimitedFiles
	}
	return int64(min(uint64(limit.Cur), unlimitedFiles))
}
