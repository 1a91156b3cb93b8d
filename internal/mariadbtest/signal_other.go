//go:build !unix

package mariadbtest

import "syscall"

// Systems without these signals know only an end; to pause fails.
const (
	stopSignal     = syscall.SIGKILL
	killSignal     = syscall.SIGKILL
	pauseSignal    = syscall.SIGTERM
	continueSignal = syscall.SIGTERM
)
