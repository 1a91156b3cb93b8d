package mariadbtest

import "syscall"

// attributes has the process end with the thread that started it, and keeps
// the terminal's interrupt from it: it is stopped in good order.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
