//go:build unix

package server

import "syscall"

// openFiles returns how many files this process may have open. The runtime has
// raised the limit to the highest that the system permits.
func openFiles() int64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return unlimitedFiles
	}
	return int64(min(uint64(limit.Cur), unlimitedFiles))
}
