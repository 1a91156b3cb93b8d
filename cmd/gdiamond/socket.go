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

// maxSocketPath is how many bytes of path the system takes for a socket.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// socketPath returns a path of the admin socket of the data directory that the
// system takes, good until done is called. On Linux one that would be too long
// leads through the directory, opened, instead.
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
	return fmt.Errorf("the path of the socket %s has %d bytes, and the system takes %d: use a data directory with a shorter path",
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

// listenSocket makes the admin socket of the data directory, which the caller has
// open, for its owner alone. It goes when the listener is closed.
func listenSocket(ctx context.Context, data string) (net.Listener, error) {
	path, done, err := socketPath(data)
	if err != nil {
		return nil, err
	}
	// One that is there was left by a process that was killed: the store is ours.
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

// socketListener removes its socket by the path that it was made at, which is
// done with afterwards.
type socketListener struct {
	net.Listener
	done func()
}

// Close implements net.Listener.
func (l *socketListener) Close() error {
	defer l.done()
	return l.Listener.Close()
}
