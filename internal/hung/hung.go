// Package hung makes calls that may never return, such as file access on a network file
// system whose server is down.
package hung

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrHangs is the error of a call that did not return in time. ErrNotMade wraps it; it is the
// error of a call that was not made because an earlier one hangs.
var (
	ErrHangs   = errors.New("it hangs")
	ErrNotMade = fmt.Errorf("%w still", ErrHangs)
)

// Calls makes calls, each for a key of type K, and limits the number of hanging ones. [New]
// creates it. It is safe for concurrent use.
type Calls[K comparable] struct {
	patience time.Duration
	places   chan struct{} // a semaphore with a place for each running call

	mu       sync.Mutex
	underWay map[K]underWay // guarded by mu: the running call of each key, if any
	hanging  int            // guarded by mu: abandoned calls that have not returned
}

// underWay is a call that has not returned.
type underWay struct {
	givenUp  chan struct{} // closed when the call is abandoned
	returned chan struct{} // closed when the call has returned
}

// New returns Calls that abandon a call after patience, and run at most most calls at a time.
func New[K comparable](patience time.Duration, most int) *Calls[K] {
	return &Calls[K]{patience: patience, places: make(chan struct{}, most), underWay: make(map[K]underWay)}
}

// Do returns the result of call. If call takes longer than the patience, Do returns
// [ErrHangs], and late, unless it is nil, is called with the result when call returns. Calls
// for the same key run one after the other, so that a key takes one place. While a call for
// key hangs, or as many calls hang as there are places, other calls are not made and fail at
// once with [ErrNotMade]. So do calls that do not get their turn or a place in time.
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
	done := make(chan result) // received by the waiting caller, or by nobody
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

// turn waits until no call for key is running, and records the new call. It returns false if
// the running call was abandoned, if all calls hang, or if timeout comes first.
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

// giveUp records that the call for key was abandoned.
func (c *Calls[K]) giveUp(key K, mine underWay) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(mine.givenUp)
	if c.underWay[key] == mine { // the call may just have returned
		c.hanging++
	}
}

// end records that the call for key has returned, or is not made.
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
