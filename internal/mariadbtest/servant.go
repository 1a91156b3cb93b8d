package mariadbtest

import (
	"context"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
)

// servant is the user of a private server.
type servant struct {
	uid, gid int // -1 for those of this process
	root     bool
}

// newServant returns the user mysql if this process runs as root, because servers refuse to run
// as root. If there is no such user, servers need a flag to run as root.
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

// own makes the servant the owner of a file.
func (s servant) own(path string) error {
	if s.uid < 0 {
		return nil
	}
	return os.Chown(path, s.uid, s.gid)
}

// command returns a command that runs as the servant in dir until ctx ends. Its temporary files
// are in dir too, because servers remove each other's files from a shared directory.
func (s servant) command(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	if s.root && s.uid < 0 {
		args = append(args, "--user=root")
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+filepath.Join(dir, "tmp"), "HOME="+dir)
	cmd.SysProcAttr = attributes(s)
	return cmd
}
