package mariadbtest

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
)

// EnvDSN is the environment variable with the DSN of a server for tests. Its user must have
// the right to create databases and users. The database in the DSN does not matter.
const EnvDSN = "DIAMOND_TEST_MYSQL_DSN"

// ErrNone is the error if there is no server. It says how to get one.
var ErrNone = errors.New("the tests of the MySQL storage need a database, which is one of:\n" +
	"  - " + EnvDSN + " set to the DSN of a MariaDB or MySQL, such as root:secret@tcp(127.0.0.1:3306)/\n" +
	"  - the package mariadb-server installed (apt-get install --no-install-recommends mariadb-server)\n" +
	"  - mariadbd or mysqld on the PATH")

// binaries are the programs that a private server needs.
type binaries struct {
	server  string
	install string // makes a data directory; "" where the server does so itself
}

// Find returns the server programs on this machine. The error is ErrNone if there are none.
func Find() (path string, err error) {
	b, err := find()
	return b.server, err
}

func find() (binaries, error) {
	server, ok := look("mariadbd", "mysqld")
	if !ok {
		return binaries{}, ErrNone
	}
	out, err := exec.Command(server, "--no-defaults", "--version").Output()
	if err != nil {
		return binaries{}, err
	}
	b := binaries{server: server}
	if strings.Contains(string(out), "MariaDB") {
		if b.install, ok = look("mariadb-install-db", "mysql_install_db"); !ok {
			return b, errors.New(server + " is there, but not mariadb-install-db, which makes its data directory")
		}
	}
	return b, nil
}

// look returns the first of names on the PATH, or in the usual directories of servers.
func look(names ...string) (string, bool) {
	for _, name := range names {
		for _, dir := range []string{"", "/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/bin"} {
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return path, true
			}
		}
	}
	return "", false
}
