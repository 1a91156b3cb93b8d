// Package lograte keeps what happens often from filling a log.
package lograte

import (
	"sync/atomic"
	"time"
)

// Every is how often events of one kind are logged at most.
const Every = time.Second

// Events are those of one kind. The zero value is ready for use, and safe for
// concurrent use.
type Events struct {
	logged   atomic.Int64 // when one was last, in Unix nanoseconds
	unlogged atomic.Int64 // how many were not since
}

// Log reports whether to log the one that happens now, and how many others were
// not logged since the last one that was.
func (e *Events) Log() (others int64, ok bool) { return e.LogOnceIn(Every) }

// LogOnceIn is [Events.Log] for events of which one is logged in a period.
func (e *Events) LogOnceIn(period time.Duration) (others int64, ok bool) {
	// In this order: else a goroutine that was held up in between has a time that
	// is before the last, and takes the clock to have gone back.
	last := e.logged.Load()
	now := time.Now().UnixNano()
	if since := now - last; since >= 0 && since < int64(period) || !e.logged.CompareAndSwap(last, now) {
		e.unlogged.Add(1)
		return 0, false
	}
	return e.unlogged.Swap(0), true
}
