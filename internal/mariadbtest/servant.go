package mariadbtest

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
)

// servant is the user that a private server runs as.
type servant struct {
	uid, gid int // -1: as this process
	root     bool
}

// newServant returns the user mysql where this process is root's, as servers
// refuse to be root's; where there is no such user they must be told.
func newServant() servant {
	s := servant{uid: -1, gid: -1, root: os.Geteuid() == 0}
	if !s.root {
		return s
	}
	if u, err := user.Lookup("mysql"); err == nil {
		uid, err := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err == nil && err2 == nil {
			s.uid, s.gid = uid, gid
		}
	}
	return s
}

// own gives a file to the servant.
func (s servant) own(path string) error {
	if s.uid < 0 {
		return nil
	}
	return os.Chown(path, s.uid, s.gid)
}

// command returns a command that runs as the servant, in dir, with its
// temporary files there: servers remove each other's from a shared directory.
func (s servant) command(dir, name string, args ...string) *exec.Cmd {
	if s.root && s.uid < 0 {
		args = append(args, "--user=root")
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+filepath.Join(dir, "tmp"), "HOME="+dir)
	cmd.SysProcAttr = attributes(s)
	return cmd
}
