package diamond

import (
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

// How long a poll is parked.
const (
	pollWait  = 25 * time.Second // unless something on the way cuts it
	pollFloor = 5 * time.Second
	// pollSlack is after which an answer is not coming any more: a little more
	// than transports take to say so themselves, as they know what else is lost.
	pollSlack = 5*time.Second + 250*time.Millisecond

	holdGrowth   = 1.2 // of a probe
	holdPatience = 8   // full waits before the first probe
)

// hold learns for how long a poll may be parked: proxies and address
// translators cut connections on which nothing moves for a while.
type hold struct {
	wait time.Duration

	good     time.Duration // the longest wait that was kept; 0: none yet
	cutAfter time.Duration // when the last poll was cut; 0: it was not
	kept     int           // full waits in a row
	patience int           // how many of them there are before the next probe
}

func newHold() *hold { return &hold{wait: pollWait, patience: holdPatience} }

// next returns how long to wait now.
func (h *hold) next() time.Duration {
	if h.wait < pollWait {
		return h.wait // learned, and so close to what is bearable that jitter would break it
	}
	return backoff.Jitter(h.wait, 0.1)
}

// full notes a poll that was answered at the end of its wait. After some of
// them a learned wait is tried a little longer.
func (h *hold) full() {
	h.good, h.cutAfter = h.wait, 0
	if h.kept++; h.kept >= h.patience && h.wait < pollWait {
		h.wait = min(time.Duration(float64(h.wait)*holdGrowth), pollWait)
		h.kept = 0
	}
}

// cut notes a poll that failed after it had been parked for d. The second in a
// row after about the same time is no accident: the wait is halved. A probe
// that was cut is taken back at once, and the next one comes later.
func (h *hold) cut(d time.Duration) {
	if d < pollFloor-time.Second {
		h.cutAfter = 0 // something else is wrong
		return
	}
	before := h.cutAfter
	h.kept, h.cutAfter = 0, d
	switch {
	case h.good > 0 && h.good < h.wait:
		h.wait, h.cutAfter = h.good, 0
		h.patience = min(2*h.patience, 16*holdPatience)
	case before > 0 && max(d, before)-min(d, before) <= max(d, before)/5:
		h.wait, h.good, h.cutAfter = max(h.wait/2, pollFloor), 0, 0
	}
}
