package diamond

import (
	"time"

	"github.com/linnaname/gdiamond/internal/follower"
)

// Timeouts are the times for which calls of a [Client] wait. A zero field stands for
// its default.
type Timeouts struct {
	// First limits the wait for a first value or state of a call whose context has no
	// deadline: Get, Peek, Together, [Subscription.Wait] and [Bind]. For one key it counts
	// from the first request to a server. The default is 3 s.
	First time.Duration

	// Snapshot is the time that servers have to answer before the client uses a snapshot, or
	// else the default of a Bind. If the requests fail sooner, the client uses it at once.
	// The default is 1 s. To leave listeners time to apply a snapshot, Snapshot is never
	// more than four fifths of First, or of the time until the context's deadline. Below
	// 800 ms a snapshot may be used although only one of two servers is down.
	Snapshot time.Duration

	// Call limits the time of a commit, Read, Head, or one request of List and History whose
	// context has no deadline, including retries. The default is 10 s. It should be longer
	// than the transport waits for a silent server, which is 5 s over HTTP by default.
	// Otherwise there is no time left to ask another server.
	Call time.Duration

	// Close limits the time for which Close waits for listeners and callbacks. The default
	// is 10 s. Close may take up to 4 s more to write the remaining snapshots.
	Close time.Duration
}

// WithTimeouts sets the times for which the client's calls wait. NewClient fails with
// ErrInvalid if one of them is negative, or if Snapshot is above First.
func WithTimeouts(t Timeouts) ClientOption {
	return clientOption(func(c *follower.Config) { c.Timeouts = follower.Timeouts(t) })
}
