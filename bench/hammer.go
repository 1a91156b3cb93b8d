//go:build linux

package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"time"
)

// hammered is the result of hammer.
type hammered struct {
	Answers  int
	P50, P99 time.Duration // from a request to its answer
}

// hammer sends the next request on each connection as soon as the previous one is answered, for
// a while.
func (l *load) hammer(next func() []byte, duration time.Duration) (h hammered, err error) {
	start := time.Now()
	if err := l.ask(next); err != nil {
		return h, err
	}
	open := len(l.conns)
	var times []time.Duration
	err = l.answers(start.Add(duration+10*time.Second), func(c *conn, answer []byte) (bool, error) {
		if !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) {
			return false, fmt.Errorf("not a good answer: %.300q", answer)
		}
		now := time.Now()
		if now.Sub(start) < duration {
			times = append(times, now.Sub(c.sent))
			c.sent = now
			return true, c.send(next())
		}
		open-- // wait for the last answers, so that the connections can be reused
		return open > 0, nil
	})
	if err == nil && (open > 0 || len(times) == 0) {
		err = errors.New("an answer did not come")
	}
	if err == nil {
		slices.Sort(times)
		h = hammered{len(times), quantile(times, 0.5), quantile(times, 0.99)}
	}
	return h, err
}

// stencil turns a captured publish of entry 0 into publishes of random entries, each with another
// content and request id.
type stencil struct {
	request         []byte
	entries         int
	key, id, marker []byte // where in request
	made            int
}

func newStencil(request []byte, entries int) (*stencil, error) {
	s := &stencil{request: request, entries: entries}
	for _, part := range []struct {
		dst  *[]byte
		text string
	}{{&s.key, keyOf(0).DataID}, {&s.id, requestOf(0)}, {&s.marker, marker(0)}} {
		at := bytes.Index(request, []byte(part.text))
		if at < 0 {
			return nil, fmt.Errorf("a publish without %q", part.text)
		}
		*part.dst = request[at : at+len(part.text)]
	}
	return s, nil
}

// next returns a request that is valid until the next call.
func (s *stencil) next() []byte {
	s.made++
	var id [16]byte
	rand.Read(id[:])
	copy(s.key, keyOf(mathrand.IntN(s.entries)).DataID)
	hex.Encode(s.id, id[:])
	copy(s.marker, marker(s.made%1e6))
	return s.request
}
