// Package longpoll learns the time for which a long poll can be parked. Proxies and address
// translators cut connections that are idle for a while.
package longpoll

import (
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

// Bounds of the time for which a poll is parked.
const (
	MaxWait = 25 * time.Second // unless something cuts the connection earlier
	MinWait = 5 * time.Second
)

const (
	growth   = 1.2 // of a probe
	patience = 8   // full waits before the first probe
)

// Wait is the time for which the polls of one client are parked. It is halved after two
// consecutive polls were cut after about the same time, and raised a little as a probe after
// several that were not cut. [New] creates it. It is not safe for concurrent use.
type Wait struct {
	wait time.Duration

	good     time.Duration // the longest full wait, or 0 if there was none
	cutAfter time.Duration // the time after which the last poll was cut, or 0 if it was not
	kept     int           // consecutive full waits
	patience int           // full waits before the next probe
}

// New returns a Wait of [MaxWait].
func New() *Wait { return &Wait{wait: MaxWait, patience: patience} }

// Next returns the time for which to park the next poll.
func (w *Wait) Next() time.Duration {
	if w.wait < MaxWait {
		return w.wait // a learned wait is so close to the limit that jitter would exceed it
	}
	return backoff.Jitter(w.wait, 0.1)
}

// Full records a poll that was answered at the end of its wait. After several of them it
// raises a learned wait a little as a probe.
func (w *Wait) Full() {
	w.good, w.cutAfter = w.wait, 0
	if w.kept++; w.kept >= w.patience && w.wait < MaxWait {
		w.wait = min(time.Duration(float64(w.wait)*growth), MaxWait)
		w.kept = 0
	}
}

// Cut records a poll that failed after it had been parked for d. After two consecutive cuts at
// about the same time it halves the wait. After the cut of a probe it restores the previous
// wait at once, and the next probe comes later.
func (w *Wait) Cut(d time.Duration) {
	if d < MinWait-time.Second {
		w.cutAfter = 0 // the cause is something else
		return
	}
	before := w.cutAfter
	w.kept, w.cutAfter = 0, d
	switch {
	case w.good > 0 && w.good < w.wait:
		w.wait, w.cutAfter = w.good, 0
		w.patience = min(2*w.patience, 16*patience)
	case before > 0 && max(d, before)-min(d, before) <= max(d, before)/5:
		w.wait, w.good, w.cutAfter = max(w.wait/2, MinWait), 0, 0
	}
}
