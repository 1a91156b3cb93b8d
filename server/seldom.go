package server

import (
	"sync/atomic"
	"time"
)

// refusalsEvery is how often refusals of one kind are logged at most.
const refusalsEvery = time.Second

// seldom has something logged that whoever can reach the node can cause.
type seldom struct {
	logged   atomic.Int64 // when it was last, in Unix nanoseconds
	unlogged atomic.Int64 // how often it was not since
}

// now reports whether to log it now, and of how many others that was not done.
func (s *seldom) now() (others int64, ok bool) {
	now, last := time.Now().UnixNano(), s.logged.Load()
	if since := now - last; since >= 0 && since < int64(refusalsEvery) || !s.logged.CompareAndSwap(last, now) {
		s.unlogged.Add(1)
		return 0, false
	}
	return s.unlogged.Swap(0), true
}
