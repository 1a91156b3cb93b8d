//go:build !linux

package mariadbtest

import "syscall"

func attributes() *syscall.SysProcAttr { return nil }
