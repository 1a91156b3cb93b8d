// Package debian installs the packages of Debian that tests and checks need.
package debian

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
)

// policy is the program that Debian asks whether a package may start a service.
const policy = "/usr/sbin/policy-rc.d"

// MayInstall reports whether [Install] is possible: on a Debian, as root.
func MayInstall() bool {
	_, err := exec.LookPath("apt-get")
	return err == nil && os.Geteuid() == 0
}

// Install installs a package without starting its service. An error has the
// output of apt-get.
func Install(name string) (err error) {
	if _, there := os.Lstat(policy); errors.Is(there, fs.ErrNotExist) {
		if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.Remove(policy)) }()
	}
	for _, args := range [][]string{
		{"update"},
		{"install", "-y", "--no-install-recommends", name},
	} {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}
