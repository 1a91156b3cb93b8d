//go:build linux

package main

import (
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// bare is the baseline: a net/http handler that writes a prepared answer with the same bytes as
// our server. It shows the best that a Go program over HTTP can reach.
type bare struct {
	waiting atomic.Int64

	mu      sync.Mutex
	current *canned       // guarded by mu
	changed chan struct{} // guarded by mu; closed by a change
}

// canned is an answer to replay.
type canned struct {
	header http.Header
	body   []byte
}

// bareRole is a process with a bare server. It answers a GET at once, and any other request once
// it has read the body and a change has come.
func bareRole([]string) error {
	b := &bare{current: &canned{}, changed: make(chan struct{})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: b}
	go server.Serve(listener)
	return obey(listener.Addr().String(), map[string]func(command) (any, error){
		"answer":  func(c command) (any, error) { return b.change(c, false), nil },
		"change":  func(c command) (any, error) { return b.change(c, true), nil },
		"waiting": func(command) (any, error) { return b.waiting.Load(), nil },
		"collect": func(command) (any, error) { return nil, collect() },
	})
}

// change replaces the answer and, if requested, wakes the waiters. It returns its start in Unix
// nanoseconds.
func (b *bare) change(c command, wake bool) int64 {
	next := &canned{header: make(http.Header), body: c.Data}
	for _, h := range c.Head {
		next.header.Add(h.Name, h.Value)
	}
	began := time.Now().UnixNano()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current = next
	if wake {
		close(b.changed)
		b.changed = make(chan struct{})
	}
	return began
}

func (b *bare) state() (*canned, chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.current, b.changed
}

func (b *bare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, changed := b.state()
	if r.Method != http.MethodGet {
		if _, err := io.ReadAll(r.Body); err != nil {
			return
		}
		b.waiting.Add(1)
		select {
		case <-changed:
		case <-r.Context().Done():
		}
		b.waiting.Add(-1)
		answer, _ = b.state()
	}
	header := w.Header()
	for name, values := range answer.header {
		header[name] = values
	}
	w.Write(answer.body)
}

// collect returns unused memory to the system.
func collect() error {
	runtime.GC()
	debug.FreeOSMemory()
	return nil
}
