package diamond

import (
	"context"

	"github.com/linnaname/gdiamond/internal/follower"
)

// Listener receives the value of a key.
//
// A listener is level-triggered. It is first called with the present value, if
// there is one, and then with newer ones. The latest value wins: intermediate
// values may be skipped, and none comes twice or out of order. Each listener has
// its own goroutine, so its calls do not overlap, and a slow listener delays nobody
// else. It may call any method of the client.
//
// A newer value with the same content, type and metadata as the one that the
// listener applied last does not cause a call. It counts as applied, and is
// reported to the server under its revision. When servers begin or cease to refuse
// the key, the listener is called with the value that it has; [Config].Refused
// tells which.
//
// A nil result means that the value is applied. An error or a panic rejects it: the
// listener keeps its previous value and the server is told, without the content.
// The next call is for a newer revision, even if its value is equal, because the
// reason for the rejection may be gone; so publishing a value again repeats the
// attempt. After a rejected first value the listener is called with the last good
// snapshot, if there is one.
type Listener interface {
	OnConfig(ctx context.Context, config Config) error
}

// ListenerFunc adapts a function to a [Listener].
type ListenerFunc func(ctx context.Context, config Config) error

// OnConfig calls f.
func (f ListenerFunc) OnConfig(ctx context.Context, config Config) error { return f(ctx, config) }

// Subscription is the registration of one listener for one key, or for several.
type Subscription struct{ of *follower.Subscription }

// Wait waits until the listener has returned from a call with the present value of
// the key. It returns nil if the listener applied the value, or rejected it and
// applied the last good snapshot. Otherwise it returns the reason: ErrNotFound,
// ErrUnavailable (no server and no snapshot), the listener's own error, or the
// error of ctx. Without a deadline in ctx it waits for the First of [Timeouts]. The
// subscription continues in every case. Within a call of the listener, Wait returns
// nil at once.
func (s *Subscription) Wait(ctx context.Context) error { return s.of.Wait(ctx) }

// Stop ends the subscription. The listener is not called after Stop has returned.
// Stop waits for a call under way, unless it is made from within that call. A
// second Stop does nothing.
func (s *Subscription) Stop() { s.of.Stop() }

// client implements [Client] by a [follower.Client], which knows functions in the place
// of listeners. Its other methods are those of the follower. It is used by its pointer,
// so that the compiler has a Get jump there: a call would copy the config twice.
type client struct{ *follower.Client }

// Subscribe implements [Client].
func (c *client) Subscribe(key Key, listener Listener) (*Subscription, error) {
	var call func(context.Context, Config) error
	if listener != nil {
		call = listener.OnConfig
	}
	sub, err := c.Client.Subscribe(key, call)
	if err != nil {
		return nil, err
	}
	return &Subscription{sub}, nil
}

// SubscribeTogether implements [Client].
func (c *client) SubscribeTogether(keys []Key, listener func(ctx context.Context, configs map[Key]Config, at Position) error) (*Subscription, error) {
	sub, err := c.Client.SubscribeTogether(keys, listener)
	if err != nil {
		return nil, err
	}
	return &Subscription{sub}, nil
}
