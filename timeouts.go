package diamond

import (
	"time"

	"github.com/linnaname/gdiamond/internal/follower"
)

// Timeouts are the times for which calls of a [Client] wait. A zero field stands for
// its default.
type Timeouts struct {
	// First is how long a call whose context has no deadline waits for a first value
	// or state: Get, Peek, Together, [Subscription.Wait] and [Bind]. For one key it
	// counts from the first request to a server. By default it is 3 s.
	First time.Duration

	// Snapshot is how long servers may take to answer before a snapshot, or else the
	// default of a Bind, is used. If asking them fails sooner, that is used at once. By
	// default it is 1 s. To leave listeners time to apply a snapshot, it is never more
	// than four fifths of First, or of the time until the context's deadline. Below
	// 800 ms a snapshot may be used although only one of two servers is away.
	Snapshot time.Duration

	// Call is how long a commit, Read, Head, or one request of List and History whose
	// context has no deadline goes on, with its retries. By default it is 10 s. It
	// should be longer than the transport waits for a silent server, which is 5 s over
	// HTTP by default, or there is no time left to ask another one.
	Call time.Duration

	// Close is how long Close waits for listeners and callbacks. By default it is 10 s.
	// Close may take up to 4 s more for snapshots that are still to be written.
	Close time.Duration
}

// WithTimeouts sets the times for which the client's calls wait. NewClient fails with
// ErrInvalid if one of them is negative, or if Snapshot is above First.
func WithTimeouts(t Timeouts) ClientOption {
	return clientOption(func(c *follower.Config) { c.Timeouts = follower.Timeouts(t) })
}
