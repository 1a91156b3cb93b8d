package main

import (
	"context"
	"io"
	"os"
)

// input opens a file, or stdin if name is "-". Its reads end with ctx, so that the
// program can end while it waits for a terminal or a pipe.
func input(ctx context.Context, stdin io.Reader, name string) (io.ReadCloser, error) {
	in := io.NopCloser(stdin)
	if name != "-" {
		file, err := openFile(ctx, name)
		if err != nil {
			return nil, err
		}
		in = file
	}
	read, write := io.Pipe()
	go func() { // outlives a read that ctx ended, until the program ends
		defer in.Close()
		_, err := io.Copy(write, in)
		write.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { write.CloseWithError(ctx.Err()) })
	return read, nil
}

// openFile opens a file. Opening a named pipe blocks until somebody writes to it;
// openFile waits for that until ctx ends.
func openFile(ctx context.Context, name string) (*os.File, error) {
	type opened struct {
		file *os.File
		err  error
	}
	done := make(chan opened, 1)
	go func() { // may outlive ctx, until the program ends
		file, err := os.Open(name)
		done <- opened{file, err}
	}()
	select {
	case o := <-done:
		return o.file, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
