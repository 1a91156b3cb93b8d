//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// flood sends requests for a while, at a rate, or with 0 the next on each connection as soon as
// the previous one is answered. All answers must have a status.
func (l *load) flood(next func() []byte, status int, rate float64, duration time.Duration) (h hammered, err error) {
	if rate == 0 {
		rate = 1e9
	}
	good := fmt.Appendf(nil, "HTTP/1.1 %d ", status)
	start, sent := time.Now(), 0
	idle := append([]*conn(nil), l.conns...)
	for {
		since := time.Since(start)
		over := since >= duration
		for due := int(rate * since.Seconds()); !over && len(idle) > 0 && sent < due; sent++ {
			c := idle[len(idle)-1]
			idle = idle[:len(idle)-1]
			if err := c.send(next()); err != nil {
				return h, err
			}
		}
		if over && len(idle) == len(l.conns) {
			return h, nil
		}
		if since > duration+10*time.Second {
			return h, errors.New("an answer did not come")
		}
		err := l.answers(time.Now().Add(time.Millisecond), func(c *conn, answer []byte) (bool, error) {
			if !bytes.HasPrefix(answer, good) {
				return false, fmt.Errorf("not an answer with status %d: %.300q", status, answer)
			}
			h.Answers++
			idle = append(idle, c)
			return true, nil
		})
		if err != nil {
			return h, err
		}
	}
}
