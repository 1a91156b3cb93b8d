//go:build !unix

package mariadbtest

import "syscall"

// On systems without these signals a process can only be ended, and pausing fails.
const (
	stopSignal     = syscall.SIGKILL
	killSignal     = syscall.SIGKILL
	pauseSignal    = syscall.SIGTERM
	continueSignal = syscall.SIGTERM
)
