package mariadbtest

import (
	"bytes"
	"fmt"
	"os"
)

// stopped reports whether a signal has stopped all threads of a process, which
// takes effect some while after it was sent. Done: it has ended.
func stopped(pid int) (all, done bool) {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return false, true
	}
	for _, t := range threads {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/stat", pid, t.Name()))
		// The state follows the name, which is in brackets.
		i := bytes.LastIndex(stat, []byte(") "))
		if err != nil || i < 0 || stat[i+2] != 'T' {
			return false, false
		}
	}
	return true, false
}
