// Command gdiamond runs the parts of a configuration centre, and is a client
// of one.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run runs the program and returns its exit code. A first SIGINT or SIGTERM
// ends what runs in good order, a second one at once.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, release := untilSignal()
	defer release()

	began := false // a command has been found, with flags and arguments that fit
	root := newRoot(func() { began = true })
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && !began {
		err = usageError{err}
	}
	if err != nil {
		fmt.Fprintln(stderr, errorLine(err))
	}
	return exitCode(err)
}
