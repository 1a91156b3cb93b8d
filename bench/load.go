//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// load is a client with many connections in one thread: raw sockets under one epoll, fixed
// request bytes, and only enough HTTP to find the end of an answer. Its cost is the same for
// every server.
type load struct {
	epoll   int
	conns   []*conn
	scratch []byte
	events  []syscall.EpollEvent
}

// conn is one keep-alive connection.
type conn struct {
	fd      int
	sent    time.Time // time of the last request
	partial []byte    // of an answer that came in several reads
}

// arrivals has the times at which the answers to one request on every connection arrived, in Unix
// nanoseconds.
type arrivals struct {
	First, P50, P99, Last int64
	Sample                []byte // one whole answer
}

// loadRole is a process of load clients.
func loadRole([]string) error {
	epoll, err := syscall.EpollCreate1(0)
	if err != nil {
		return err
	}
	l := &load{epoll: epoll, scratch: make([]byte, 256<<10), events: make([]syscall.EpollEvent, 512)}
	return obey("", map[string]func(command) (any, error){
		"dial": func(c command) (any, error) { return nil, l.dial(c.Addr, c.N) },
		"ask": func(c command) (any, error) {
			if len(l.conns) == 0 {
				if err := l.dial(c.Addr, c.N); err != nil {
					return nil, err
				}
			}
			next, err := c.requests()
			if err != nil {
				return nil, err
			}
			return nil, l.ask(next)
		},
		"await": func(c command) (any, error) { return l.await(c.Key, c.For) },
		"hammer": func(c command) (any, error) {
			next, err := c.requests()
			if err != nil {
				return nil, err
			}
			return l.hammer(next, c.For)
		},
		"flood": func(c command) (any, error) {
			next, err := c.requests()
			if err != nil {
				return nil, err
			}
			return l.flood(next, c.Status, c.Rate, c.For)
		},
	})
}

// hosts is how many addresses the connections come from: a server gives one address
// only a part of its connections, and clients have addresses of their own.
const hosts = 8

// dial opens n connections.
func (l *load) dial(addr string, n int) error {
	tcp, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return err
	}
	to := &syscall.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(tcp.IP.To4())}
	for i := range n {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if to.Addr[0] == 127 { // all of 127.0.0.0/8 is this machine
			from := &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(2 + i%hosts)}}
			if err := syscall.Bind(fd, from); err != nil {
				return err
			}
		}
		if err := syscall.Connect(fd, to); err != nil {
			return err
		}
		// Hanging up with a reset leaves no connection that lingers and keeps its port.
		if err := syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1}); err != nil {
			return err
		}
		if err := syscall.SetNonblock(fd, true); err != nil {
			return err
		}
		if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
			return err
		}
		event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(len(l.conns))}
		if err := syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
			return err
		}
		l.conns = append(l.conns, &conn{fd: fd})
	}
	return nil
}

// requests returns a function that creates the requests of a command: all equal, some in turn, or
// publishes of random entries.
func (c command) requests() (next func() []byte, err error) {
	if len(c.Many) > 0 {
		sent := -1
		return func() []byte { sent++; return c.Many[sent%len(c.Many)] }, nil
	}
	if c.Entries == 0 {
		return func() []byte { return c.Data }, nil
	}
	s, err := newStencil(c.Data, c.Entries)
	if err != nil {
		return nil, err
	}
	return s.next, nil
}

// ask sends one request on every connection.
func (l *load) ask(next func() []byte) error {
	for _, c := range l.conns {
		c.sent = time.Now()
		if err := c.send(next()); err != nil {
			return err
		}
	}
	return nil
}

// send writes a request, which is much smaller than a socket's buffer.
func (c *conn) send(request []byte) error {
	n, err := syscall.Write(c.fd, request)
	if err == nil && n < len(request) {
		err = errors.New("a socket took only a part of a request")
	}
	return err
}

// await waits until every connection has one answer with status 200 and marker, which proves that
// the client has the new content.
func (l *load) await(marker string, limit time.Duration) (arrivals, error) {
	var a arrivals
	times := make([]int64, 0, len(l.conns))
	err := l.answers(time.Now().Add(limit), func(_ *conn, answer []byte) (bool, error) {
		if !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) || !bytes.Contains(answer, []byte(marker)) {
			return false, fmt.Errorf("answer %d is not the one expected: %.300q", len(times), answer)
		}
		if a.Sample == nil {
			a.Sample = bytes.Clone(answer)
		}
		times = append(times, time.Now().UnixNano())
		return len(times) < len(l.conns), nil
	})
	if err != nil {
		return a, err
	}
	if len(times) < len(l.conns) {
		return a, fmt.Errorf("%d of %d answers within %s", len(times), len(l.conns), limit)
	}
	slices.Sort(times)
	at := func(share float64) int64 { return times[min(len(times)-1, int(share*float64(len(times))))] }
	a.First, a.P50, a.P99, a.Last = times[0], at(0.5), at(0.99), times[len(times)-1]
	return a, nil
}

// answers calls each with every complete answer, until each returns true or the deadline has
// passed.
func (l *load) answers(deadline time.Time, each func(c *conn, answer []byte) (more bool, err error)) error {
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return nil
		}
		n, err := syscall.EpollWait(l.epoll, l.events, int(left.Milliseconds())+1)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		for _, event := range l.events[:n] {
			c := l.conns[event.Fd]
			answer, err := c.receive(l.scratch)
			if err != nil {
				return err
			}
			if answer == nil {
				continue
			}
			if more, err := each(c, answer); err != nil || !more {
				return err
			}
		}
	}
}

// receive reads the available data, and returns the answer if it is complete. The bytes are valid
// until the next call.
func (c *conn) receive(scratch []byte) ([]byte, error) {
	n, err := syscall.Read(c.fd, scratch)
	switch {
	case errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR):
		return nil, nil
	case err != nil:
		return nil, err
	case n == 0:
		return nil, errors.New("the server hung up")
	}
	data := scratch[:n]
	if len(c.partial) > 0 {
		data = append(c.partial, data...)
		c.partial = nil
	}
	size, err := answerSize(data)
	if err != nil {
		return nil, err
	}
	switch {
	case size == 0 || len(data) < size:
		c.partial = bytes.Clone(data)
		return nil, nil
	case len(data) > size:
		return nil, errors.New("more than one answer to a request")
	}
	return data, nil
}

// answerSize returns the length of the answer at the start of data, or 0 while its headers are
// incomplete.
func answerSize(data []byte) (int, error) {
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		return 0, nil
	}
	const name = "\r\nContent-Length: "
	at := bytes.Index(data[:end], []byte(name))
	if at < 0 {
		return 0, fmt.Errorf("an answer without Content-Length: %.300q", data[:end])
	}
	value := data[at+len(name):]
	length, err := strconv.Atoi(string(value[:bytes.IndexByte(value, '\r')]))
	return end + 4 + length, err
}
