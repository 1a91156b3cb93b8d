//go:build unix

package mariadbtest

import "syscall"

const (
	stopSignal     = syscall.SIGTERM
	killSignal     = syscall.SIGKILL
	pauseSignal    = syscall.SIGSTOP
	continueSignal = syscall.SIGCONT
)
