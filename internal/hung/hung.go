// Package hung makes calls that may never return, such as those to a file on a
// network file system whose server is away.
package hung

import (
	"errors"
	"sync"
	"time"
)

// ErrHangs is the error of a call that did not return in time.
var ErrHangs = errors.New("it hangs")

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

// Do returns what call returns. When that takes longer than the patience, or
// there is no place for it, it returns [ErrHangs]; what call returns after that
// is dropped. While a call about key hangs, others about it fail at once and are
// not made. When the last of those that hang has returned, returned is called,
// unless it is nil.
func Do[K comparable, T any](c *Calls[K], key K, call func() (T, error), returned func()) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	c.mu.Lock()
	hangs := c.hanging[key] > 0
	c.mu.Unlock()
	if hangs {
		return none, ErrHangs
	}
	late := time.NewTimer(c.patience)
	defer late.Stop()
	select {
	case c.places <- struct{}{}:
	case <-late.C:
		return none, ErrHangs
	}
	done := make(chan result) // given to who waits, or to nobody any more
	givenUp := make(chan struct{})
	go func() {
		value, err := call()
		<-c.places
		select {
		case done <- result{value, err}:
		case <-givenUp:
			if c.ended(key) && returned != nil {
				returned()
			}
		}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-late.C:
		c.mu.Lock()
		c.hanging[key]++
		c.mu.Unlock()
		close(givenUp)
		return none, ErrHangs
	}
}

// ended notes that a call about key that was given up has returned. It reports
// whether that was the last one.
func (c *Calls[K]) ended(key K) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hanging[key]--; c.hanging[key] > 0 {
		return false
	}
	delete(c.hanging, key)
	return true
}
