package follower

import (
	"context"
	"log/slog"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/worker"
)

// Listener receives the value of a key, as diamond.Listener describes.
type Listener = func(ctx context.Context, config conf.Config) error

// TogetherListener receives the values of several keys as of one position.
type TogetherListener = func(ctx context.Context, configs map[conf.Key]conf.Config, at conf.Position) error

// Subscription is the registration of one listener for one key, or for several. One for
// several keys has only Wait and Stop.
type Subscription struct {
	Log *slog.Logger // of the client

	stop        func()
	wait, first func(ctx context.Context) error
	delivered   func() (conf.Config, bool)
	absence     func() error
	enter       func(*worker.Worker) bool
	exit        func(*worker.Worker)
}

// Wait waits until the listener has returned from a call with the present value of the
// key, as diamond.Subscription describes.
func (s *Subscription) Wait(ctx context.Context) error { return s.wait(ctx) }

// First waits as Wait does, but returns when nothing is known in time.
func (s *Subscription) First(ctx context.Context) error { return s.first(ctx) }

// Stop ends the subscription, and waits for a call under way.
func (s *Subscription) Stop() { s.stop() }

// Delivered returns what the listener was last called with, or false before the first
// call.
func (s *Subscription) Delivered() (conf.Config, bool) { return s.delivered() }

// Absence returns why the key has no value, or nil if it has one or nothing is known of
// it.
func (s *Subscription) Absence() error { return s.absence() }

// Enter tells the client that w begins a callback on behalf of the subscription. If it
// returns false, the callback must not run.
func (s *Subscription) Enter(w *worker.Worker) bool { return s.enter(w) }

// Exit tells the client that the callback of w has returned.
func (s *Subscription) Exit(w *worker.Worker) { s.exit(w) }
