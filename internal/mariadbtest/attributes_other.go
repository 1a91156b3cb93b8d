//go:build !unix

package mariadbtest

import "syscall"

func attributes(servant) *syscall.SysProcAttr { return nil }
