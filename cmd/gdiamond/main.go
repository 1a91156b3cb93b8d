// Command gdiamond runs the servers of a configuration centre, and is its
// command-line client.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run runs the program and returns its exit code. A first SIGINT or SIGTERM ends the
// program gracefully, a second one at once.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, release := untilSignal()
	defer release()

	began := false // a command was found, and its flags and arguments are valid
	root := newRoot(func() { began = true })
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && !began {
		err = usageError{err}
	}
	if err != nil && !errors.Is(err, errNo) { // a command has said no itself
		fmt.Fprintln(stderr, errorLine(err))
	}
	return exitCode(err)
}
