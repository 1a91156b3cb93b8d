//go:build !linux

// Command bench measures the library's performance. It runs only on Linux, because it reads /proc
// and uses epoll.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: runs on Linux only")
	os.Exit(2)
}
