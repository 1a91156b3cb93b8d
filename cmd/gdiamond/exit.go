package main

import (
	"context"
	"errors"
	"strings"

	diamond "github.com/linnaname/gdiamond"
)

// Exit codes, for scripts.
const (
	exitOK       = 0
	exitError    = 1
	exitUsage    = 2 // the command line is wrong; no server was asked
	exitNotFound = 3
	exitConflict = 4
	exitNo       = 5 // can: no such right; apply --dry-run: there are differences
)

// usageError is an error of the command line.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func exitCode(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, errNo):
		return exitNo
	case errors.Is(err, diamond.ErrNotFound):
		return exitNotFound
	case errors.Is(err, diamond.ErrConflict):
		return exitConflict
	}
	return exitError
}

// errorLine returns the one line that the program prints for err.
func errorLine(err error) string {
	lines := strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' })
	for i, line := range lines { // the line already begins with the program's name
		lines[i] = strings.ReplaceAll(strings.TrimPrefix(line, "diamond: "), ": diamond: ", ": ")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		for i := range lines { // a reason, if there is one, comes before
			lines[i] = strings.ReplaceAll(lines[i], " ("+context.DeadlineExceeded.Error()+")", "")
			lines[i] = strings.ReplaceAll(lines[i], context.DeadlineExceeded.Error(), "no answer in time")
		}
		lines = append(lines, "--timeout allows more time")
	}
	return "gdiamond: " + strings.Join(lines, "; ")
}
