package main

import (
	"context"
	"io"
	"os"
)

// input opens a file, or stdin where name is "-". A read of it ends with ctx:
// a terminal at which nobody types, or a pipe into which nobody writes, does not
// keep the program from ending.
func input(ctx context.Context, stdin io.Reader, name string) (io.ReadCloser, error) {
	in := io.NopCloser(stdin)
	if name != "-" {
		file, err := os.Open(name)
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
