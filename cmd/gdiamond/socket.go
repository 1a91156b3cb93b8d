package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// maxSocketPath is the longest path of a socket that the system accepts, in bytes.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// socketPath returns a path of the data directory's admin socket that the system
// accepts. It is valid until done is called. On Linux, a path that would be too long
// leads through a descriptor of the directory instead.
func socketPath(data string) (path string, done func(), err error) {
	path = filepath.Join(data, adminSocket)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, socketTooLong(path)
	}
	dir, err := os.Open(data)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), adminSocket), func() { _ = dir.Close() }, nil
}

func socketTooLong(path string) error {
	return fmt.Errorf("the path of the socket %s has %d bytes, and the system accepts %d: use a data directory with a shorter path",
		path, len(path), maxSocketPath)
}

// dialSocket connects to the admin socket of the data directory.
func dialSocket(ctx context.Context, data string) (net.Conn, error) {
	path, done, err := socketPath(data)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}

// listenSocket creates the admin socket of the data directory, which the caller has
// open. Only its owner can use it. Closing the listener removes it.
func listenSocket(ctx context.Context, data string) (net.Listener, error) {
	path, done, err := socketPath(data)
	if err != nil {
		return nil, err
	}
	// This process has the store open, so an existing socket is a leftover of a killed one.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		done()
		return nil, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		done()
		return nil, err
	}
	ln = &socketListener{ln, done}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// socketListener releases the path of its socket after closing it.
type socketListener struct {
	net.Listener
	done func()
}

// Close implements net.Listener.
func (l *socketListener) Close() error {
	defer l.done()
	return l.Listener.Close()
}
