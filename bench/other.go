//go:build !linux

// Command bench measures the library's speed. It reads /proc and uses epoll,
// and so runs on Linux only.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: runs on Linux only")
	os.Exit(2)
}
