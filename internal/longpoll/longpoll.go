// Package longpoll learns how long a long poll may be parked: proxies and address
// translators cut connections on which nothing moves for a while.
package longpoll

import (
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

// Bounds of the time for which a poll is parked.
const (
	MaxWait = 25 * time.Second // unless something on the way cuts it
	MinWait = 5 * time.Second
)

const (
	growth   = 1.2 // of a probe
	patience = 8   // full waits before the first probe
)

// Wait is the time for which the polls of one client are parked. It is halved when
// two polls in a row are cut after about the same time, and tried a little longer
// after some that were not. Make one with [New]. It is not safe for concurrent use.
type Wait struct {
	wait time.Duration

	good     time.Duration // the longest wait that was kept; 0: none yet
	cutAfter time.Duration // when the last poll was cut; 0: it was not
	kept     int           // full waits in a row
	patience int           // how many of them there are before the next probe
}

// New returns a Wait of [MaxWait].
func New() *Wait { return &Wait{wait: MaxWait, patience: patience} }

// Next returns how long to park the next poll.
func (w *Wait) Next() time.Duration {
	if w.wait < MaxWait {
		return w.wait // learned, and so close to what is bearable that jitter would break it
	}
	return backoff.Jitter(w.wait, 0.1)
}

// Full notes a poll that was answered at the end of its wait. After some of
// them a learned wait is tried a little longer.
func (w *Wait) Full() {
	w.good, w.cutAfter = w.wait, 0
	if w.kept++; w.kept >= w.patience && w.wait < MaxWait {
		w.wait = min(time.Duration(float64(w.wait)*growth), MaxWait)
		w.kept = 0
	}
}

// Cut notes a poll that failed after it had been parked for d. The second in a
// row after about the same time is no accident: the wait is halved. A probe
// that was cut is taken back at once, and the next one comes later.
func (w *Wait) Cut(d time.Duration) {
	if d < MinWait-time.Second {
		w.cutAfter = 0 // something else is wrong
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
