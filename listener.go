package diamond

import (
	"context"
	"time"

	"github.com/linnaname/gdiamond/internal/worker"
)

// Listener is told of a key's value.
//
// A listener is level-triggered. It is called with the present value first, if
// there is one, and then with newer ones: the latest wins, values in between
// may be skipped, none comes twice or out of order. Each listener has a
// goroutine of its own, so calls of one never overlap and a slow one hurts
// only itself. It may call any method of the client.
//
// A newer value whose content, type and metadata are those of the one that the
// listener applied last calls nobody: it counts as applied, and is reported to
// the server for its revision. When servers begin to
// refuse the key, and when they no longer do, a listener is called with the
// value that it has; [Config].Refused tells.
//
// A nil result says that the value is applied. An error, or a panic, rejects
// it: the listener keeps what it had, the server is told (without content),
// and the next call is for a newer revision, also where the value is equal: what
// it was rejected for may be mended by then, and publishing it again has it tried
// again. A rejected first value is followed by the last good snapshot, if there
// is one.
type Listener interface {
	OnConfig(ctx context.Context, config Config) error
}

// ListenerFunc makes a function a [Listener].
type ListenerFunc func(ctx context.Context, config Config) error

// OnConfig calls f.
func (f ListenerFunc) OnConfig(ctx context.Context, config Config) error { return f(ctx, config) }

// Subscription is one listener's place at one key.
type Subscription struct {
	stop func()
	wait func(ctx context.Context) error
	// first waits as Wait does, but not on when nothing is known in time.
	first     func(ctx context.Context) error
	delivered func() (Config, bool) // what the listener was called with last, as it is known now; false: nothing yet
	// For callbacks that hang on the subscription: enter says that one begins to
	// be called, exit that it has returned. None may begin where enter is false.
	enter func(*worker.Worker) bool
	exit  func(*worker.Worker)
}

// Wait returns when the listener has been called with the key's present value
// and has returned: nil when it applied it, or applied the last good snapshot
// after it had rejected the value. Else it returns why there is none:
// ErrNotFound, ErrUnavailable (no server, no snapshot), the listener's own
// error, or ctx's. The subscription goes on in every case. Inside the listener's
// call it returns nil at once.
func (s *Subscription) Wait(ctx context.Context) error { return s.wait(ctx) }

// Stop ends the subscription. The listener is not called after Stop has
// returned; Stop waits for a call under way, except from within it. A second
// Stop does nothing.
func (s *Subscription) Stop() { s.stop() }

// Status is the state of one key at a client, for health pages and logs.
type Status struct {
	Key       Key
	Source    Source
	Revision  int64
	MD5       string
	Confirmed time.Time     // when a server last said that this is the present state; zero: never
	Age       time.Duration // since Confirmed, by the monotonic clock; 0: never confirmed
	Deleted   bool
	Orphaned  bool
	// Rejected is the newest revision that a listener refused and that has not
	// been followed by a good one; 0: none. Err says why.
	Rejected  int64
	Listeners int
	Err       error // why the key has no value, is not fresh, or was rejected; nil: all is well
}
