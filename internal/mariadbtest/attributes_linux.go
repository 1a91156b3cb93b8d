package mariadbtest

import "syscall"

// attributes makes the process end with the thread that started it, and protects it from
// the terminal's interrupt, so that it is stopped gracefully. The process runs as the servant
// from its start, because a process that changes its user later no longer ends with its
// parent.
func attributes(s servant) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if s.uid >= 0 {
		a.Credential = &syscall.Credential{Uid: uint32(s.uid), Gid: uint32(s.gid)}
	}
	return a
}
