//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// patience is the timeout of every step here.
const patience = 2 * time.Minute

// field is a server with clients that wait for a change of one key: our server, or a bare one
// with our answers.
type field struct {
	protocol protocol
	server   *child
	load     *child
	addr     string
	clients  int
	request  []byte   // the polling request of each client
	requests [][]byte // or those that the clients send in turn
}

// turn is the result of one change.
type turn struct {
	arrivals
	began  int64
	answer answer
}

// p99 returns the time from the start of the change until 99 of 100 clients held the new
// content.
func (t turn) p99() time.Duration { return time.Duration(t.P99 - t.began) }

// newField starts a server in a role, "server" or "bare", and a process for its clients. Our
// server has the content of round 0.
func newField(role string, p protocol, clients int) (f *field, err error) {
	f = &field{protocol: p, clients: clients}
	if f.server, f.addr, err = spawn(role); err != nil {
		return nil, err
	}
	if f.load, _, err = spawn("load"); err == nil && role == "server" {
		if _, err = f.publish(0); err == nil {
			err = introduce(f.addr)
		}
	}
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *field) close() {
	if f.load != nil {
		f.load.stop()
	}
	f.server.stop()
}

// publish commits the content of a round, and makes the clients wait for newer changes.
func (f *field) publish(round int) (p published, err error) {
	if err := f.server.do(command{Verb: "publish", Key: benchKey, Data: content(round)}, &p); err != nil {
		return p, err
	}
	f.request, err = f.protocol.poll(f.addr, p)
	return p, err
}

// park makes every client wait. The first time, the clients connect.
func (f *field) park() error {
	if err := f.load.do(command{Verb: "ask", Addr: f.addr, N: f.clients, Data: f.request, Many: f.requests}, nil); err != nil {
		return err
	}
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		var waiting int
		if err := f.server.do(command{Verb: "waiting"}, &waiting); err != nil {
			return err
		}
		if waiting == f.clients {
			return nil
		}
		if time.Since(begun) > patience {
			return fmt.Errorf("%d of %d clients wait", waiting, f.clients)
		}
	}
}

// change changes the content: our server publishes the content of the round, and a bare one
// takes our server's answer. It returns when every client has the new content.
func (f *field) change(round int, given *answer) (t turn, err error) {
	// The clients start listening before the change.
	if err := f.load.send(command{Verb: "await", Key: f.protocol.marker(round), For: patience}); err != nil {
		return t, err
	}
	if given == nil {
		var p published
		p, err = f.publish(round)
		t.began = p.Began
	} else {
		err = f.server.do(given.as("change"), &t.began)
	}
	if err = errors.Join(err, f.load.receive(&t.arrivals)); err != nil {
		return t, err
	}
	t.answer, err = readAnswer(bytes.NewReader(t.Sample))
	return t, err
}
