package follower

import (
	"cmp"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// Defaults of [Timeouts].
const (
	getTimeout    = 3 * time.Second  // First
	snapshotGrace = time.Second      // Snapshot
	callTimeout   = 10 * time.Second // Call; requests that no caller waits for always have it
	closeTimeout  = 10 * time.Second // Close
)

// Timeouts are the times for which calls wait, as diamond.Timeouts describes.
type Timeouts struct {
	First    time.Duration // for a first value or state
	Snapshot time.Duration // for servers, before a snapshot is used
	Call     time.Duration // for a commit or a single request, with its retries
	Close    time.Duration // for listeners and callbacks
}

// complete returns t with defaults in the place of zeros. A snapshot is used after
// four fifths of First at the latest, so that what follows from it, such as the call
// of a listener, has the rest of the time.
func (t Timeouts) complete() (Timeouts, error) {
	if min(t.First, t.Snapshot, t.Call, t.Close) < 0 {
		return t, conf.Invalidf("timeouts: one is negative: %+v", t)
	}
	t.First = cmp.Or(t.First, getTimeout)
	t.Call = cmp.Or(t.Call, callTimeout)
	t.Close = cmp.Or(t.Close, closeTimeout)
	if t.Snapshot > t.First {
		return t, conf.Invalidf("timeouts: Snapshot (%s) is above First (%s)", t.Snapshot, t.First)
	}
	t.Snapshot = min(cmp.Or(t.Snapshot, snapshotGrace), t.First-t.First/5)
	return t, nil
}
