//go:build unix && !linux

package mariadbtest

import "syscall"

func attributes(s servant) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if s.uid >= 0 {
		a.Credential = &syscall.Credential{Uid: uint32(s.uid), Gid: uint32(s.gid)}
	}
	return a
}
