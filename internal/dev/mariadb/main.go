// Command mariadb runs a command with a database for its tests:
//
//	go run ./internal/dev/mariadb go test ./...
//
// If DIAMOND_TEST_MYSQL_DSN is set, it only runs the command. Otherwise it starts
// a private server, gives the command the server's DSN in that variable, and stops
// the server afterwards. If no server is installed, it installs Debian's
// mariadb-server when it runs as root, and otherwise says what to do.
//
// To try things with a throwaway database:
//
//	go run ./internal/dev/mariadb -serve NAME
//
// prints the DSN of an empty database of that name, and runs until it is interrupted.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/linnaname/gdiamond/internal/dev/debian"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

func main() {
	if len(os.Args) < 2 || os.Args[1] == "-serve" && len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: mariadb COMMAND [ARGUMENT...]\n       mariadb -serve NAME")
		os.Exit(2)
	}
	var code int
	var err error
	if os.Args[1] == "-serve" {
		err = serve(os.Args[2])
	} else {
		code, err = run(os.Args[1], os.Args[2:])
	}
	if err != nil {
		code = max(code, 1)
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func run(name string, args []string) (code int, err error) {
	// An interrupt is the command's to obey. This program goes on, to stop the server.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)

	cmd := exec.Command(name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if os.Getenv(mariadbtest.EnvDSN) == "" {
		if err := provide(); err != nil {
			return 1, err
		}
		server, err := mariadbtest.New(mariadbtest.Options{})
		if err != nil {
			return 1, err
		}
		defer func() {
			server.Stop()
			if e := server.Close(); e != nil {
				code, err = max(code, 1), errors.Join(err, e)
			}
		}()
		cmd.Env = append(os.Environ(), mariadbtest.EnvDSN+"="+server.DSN())
	}
	select {
	case <-interrupts: // while the server was made
		return 1, nil
	default:
	}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case sig := <-interrupts:
				_ = cmd.Process.Signal(sig) // it may have ended
			case <-ended:
				return
			}
		}
	}()
	var exit *exec.ExitError
	if err := cmd.Wait(); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil // below 0: ended by a signal
	} else if err != nil {
		return 1, err
	}
	return 0, nil
}

// provide sees to it that there is a server on this machine.
func provide() error {
	if _, err := mariadbtest.Find(); !errors.Is(err, mariadbtest.ErrNone) {
		return err
	}
	if !debian.MayInstall() {
		return mariadbtest.ErrNone
	}
	fmt.Fprintln(os.Stderr, "installing mariadb-server, which the tests of the MySQL storage need")
	if err := debian.Install("mariadb-server"); err != nil {
		return fmt.Errorf("%w\n%w", err, mariadbtest.ErrNone)
	}
	_, err := mariadbtest.Find()
	return err
}
