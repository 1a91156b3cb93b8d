// Package lograte limits the log records of frequent events.
package lograte

import (
	"sync/atomic"
	"time"
)

// Every is the shortest interval between logged events of one kind.
const Every = time.Second

// Events limits the log records of one kind of event. The zero value is ready for use, and
// safe for concurrent use.
type Events struct {
	logged   atomic.Int64 // time of the last logged event, in Unix nanoseconds
	unlogged atomic.Int64 // number of events since then
}

// Log reports whether to log the present event, and returns the number of events that were
// not logged since the last logged one.
func (e *Events) Log() (others int64, ok bool) { return e.LogOnceIn(Every) }

// LogOnceIn is [Events.Log] with one logged event in each period.
func (e *Events) LogOnceIn(period time.Duration) (others int64, ok bool) {
	// Load the last time first. Otherwise a goroutine that is delayed in between has a time
	// before the last one, and assumes that the clock has gone back.
	last := e.logged.Load()
	now := time.Now().UnixNano()
	if since := now - last; since >= 0 && since < int64(period) || !e.logged.CompareAndSwap(last, now) {
		e.unlogged.Add(1)
		return 0, false
	}
	return e.unlogged.Swap(0), true
}
