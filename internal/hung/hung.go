// Package hung makes calls that may never return, such as those to a file on a
// network file system whose server is away.
package hung

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrHangs is the error of a call that did not return in time, and ErrNotMade,
// which wraps it, that of one that was not made as an earlier one hangs.
var (
	ErrHangs   = errors.New("it hangs")
	ErrNotMade = fmt.Errorf("%w still", ErrHangs)
)

// Calls makes calls, each about a K, and bounds how many of them hang. Make one
// with [New]. It is safe for concurrent use.
type Calls[K comparable] struct {
	patience time.Duration
	places   chan struct{} // a semaphore: one for each call under way

	mu      sync.Mutex
	hanging map[K]int // guarded by mu: calls that were given up and have not returned
}

// New returns Calls that give up a call after patience, and have at most that
// many under way.
func New[K comparable](patience time.Duration, most int) *Calls[K] {
	return &Calls[K]{patience: patience, places: make(chan struct{}, most), hanging: make(map[K]int)}
}

// Do returns what call returns. When that takes longer than the patience it
// returns [ErrHangs]; late, unless it is nil, is called with what call returns
// after that. While a call about key hangs, others about it are not made and fail
// at once with [ErrNotMade], as do those for which there is no place in time.
func Do[K comparable, T any](c *Calls[K], key K, call func() (T, error), late func(T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	c.mu.Lock()
	hangs := c.hanging[key] > 0
	c.mu.Unlock()
	if hangs {
		return none, ErrNotMade
	}
	timer := time.NewTimer(c.patience)
	defer timer.Stop()
	select {
	case c.places <- struct{}{}:
	case <-timer.C:
		return none, ErrNotMade
	}
	done := make(chan result) // given to who waits, or to nobody any more
	givenUp := make(chan struct{})
	go func() {
		value, err := call()
		<-c.places
		select {
		case done <- result{value, err}:
		case <-givenUp:
			c.ended(key)
			if late != nil {
				late(value, err)
			}
		}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-timer.C:
		c.mu.Lock()
		c.hanging[key]++
		c.mu.Unlock()
		close(givenUp)
		return none, ErrHangs
	}
}

// ended notes that a call about key that was given up has returned.
func (c *Calls[K]) ended(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hanging[key]--; c.hanging[key] == 0 {
		delete(c.hanging, key)
	}
}
