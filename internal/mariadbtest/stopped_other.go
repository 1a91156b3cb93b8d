//go:build !linux

package mariadbtest

import (
	"os/exec"
	"strconv"
	"strings"
)

// stopped reports whether a signal has stopped a process, which takes effect
// some while after it was sent. Done: it has ended.
func stopped(pid int) (all, done bool) {
	out, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	return strings.HasPrefix(string(out), "T"), err != nil
}
