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

	mu       sync.Mutex
	underWay map[K]underWay // guarded by mu: the call about each key, if there is one
	hanging  int            // guarded by mu: calls that were given up and have not returned
}

// underWay is a call that has not returned.
type underWay struct {
	givenUp  chan struct{} // closed when its patience has ended
	returned chan struct{} // closed when it has returned
}

// New returns Calls that give up a call after patience, and have at most that
// many under way.
func New[K comparable](patience time.Duration, most int) *Calls[K] {
	return &Calls[K]{patience: patience, places: make(chan struct{}, most), underWay: make(map[K]underWay)}
}

// Do returns what call returns. When that takes longer than the patience it
// returns [ErrHangs]; late, unless it is nil, is called with what call returns
// after that. Of calls about one key one is made at a time, so that a key takes
// one place; the others wait for it. While a call about key hangs, or as many calls
// as there are places, others are not made and fail at once with [ErrNotMade], as
// do those whose turn or place does not come in time.
func Do[K comparable, T any](c *Calls[K], key K, call func() (T, error), late func(T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	timer := time.NewTimer(c.patience)
	defer timer.Stop()
	mine, ok := c.turn(key, timer.C)
	if !ok {
		return none, ErrNotMade
	}
	select {
	case c.places <- struct{}{}:
	case <-timer.C:
		c.end(key, mine)
		return none, ErrNotMade
	}
	done := make(chan result) // given to who waits, or to nobody any more
	go func() {
		value, err := call()
		c.end(key, mine)
		<-c.places
		select {
		case done <- result{value, err}:
		case <-mine.givenUp:
			if late != nil {
				late(value, err)
			}
		}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-timer.C:
		c.giveUp(key, mine)
		return none, ErrHangs
	}
}

// turn waits until no call about key is under way, and notes that one is now. It
// returns false when that was given up, when all calls hang, or when timeout came first.
func (c *Calls[K]) turn(key K, timeout <-chan time.Time) (underWay, bool) {
	for {
		c.mu.Lock()
		if c.hanging == cap(c.places) {
			c.mu.Unlock()
			return underWay{}, false
		}
		other, ok := c.underWay[key]
		if !ok {
			mine := underWay{givenUp: make(chan struct{}), returned: make(chan struct{})}
			c.underWay[key] = mine
			c.mu.Unlock()
			return mine, true
		}
		c.mu.Unlock()
		select {
		case <-other.returned:
		case <-other.givenUp:
			return underWay{}, false
		case <-timeout:
			return underWay{}, false
		}
	}
}

// giveUp notes that the call about key is waited for no longer.
func (c *Calls[K]) giveUp(key K, mine underWay) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(mine.givenUp)
	if c.underWay[key] == mine { // it may have returned just now
		c.hanging++
	}
}

// end notes that the call about key has returned, or is not made.
func (c *Calls[K]) end(key K, mine underWay) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.underWay, key)
	close(mine.returned)
	select {
	case <-mine.givenUp:
		c.hanging--
	default:
	}
}
