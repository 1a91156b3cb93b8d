package mariadbtest

import "syscall"

// attributes has the process end with the thread that started it, and keeps
// the terminal's interrupt from it: it is stopped in good order. It is the
// servant's from its beginning, as a process that becomes another user's later
// no longer ends with its parent.
func attributes(s servant) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if s.uid >= 0 {
		a.Credential = &syscall.Credential{Uid: uint32(s.uid), Gid: uint32(s.gid)}
	}
	return a
}
