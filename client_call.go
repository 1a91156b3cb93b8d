package diamond

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

// How long calls take, where the caller's context does not say.
const (
	getTimeout   = 3 * time.Second  // for a first Get, with neither server nor snapshot
	callTimeout  = 10 * time.Second // for a commit with its retries, and for one-off questions
	fetchTimeout = 10 * time.Second // for one content
	maxPause     = 4 * time.Second  // between tries of a call, and polls of servers that cannot be asked
	// pollSlack is how long after its wait the answer to a poll may come: a little
	// longer than transports take to notice that a connection is dead, as they know
	// what else is lost.
	pollSlack = 5*time.Second + 250*time.Millisecond
)

// calls asks the servers for a client. It keeps the newest position that any of them
// answered with, and refuses answers of another store than the first one's.
type calls struct {
	transport Transport
	info      ClientInfo // goes with every request
	log       *slog.Logger

	mu     sync.Mutex
	closed bool                              // guarded by mu
	open   map[*context.CancelCauseFunc]bool // guarded by mu: the calls that close ends
	newest Position                          // guarded by mu: that any server answered with
}

func newCalls(transport Transport, info ClientInfo, log *slog.Logger) *calls {
	return &calls{transport: transport, info: info, log: log, open: make(map[*context.CancelCauseFunc]bool)}
}

// begin starts a call that asks the transport for the caller: the context ends
// with the client, too, and after timeout where ctx has no deadline (0: never).
func (c *calls) begin(ctx context.Context, timeout time.Duration) (_ context.Context, end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	stop := func() {}
	if _, ok := ctx.Deadline(); !ok && timeout > 0 {
		ctx, stop = context.WithTimeoutCause(ctx, timeout, errTimeout)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		stop()
		cancel(nil)
		return nil, nil, ErrClosed
	}
	c.open[&cancel] = true
	return ctx, func() {
		c.mu.Lock()
		delete(c.open, &cancel)
		c.mu.Unlock()
		cancel(nil)
		stop()
	}, nil
}

// close ends all calls that have begun, and lets no other begin. It returns false
// where it was called before.
func (c *calls) close() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.closed = true
	for cancel := range c.open {
		(*cancel)(ErrClosed)
	}
	return true
}

// newestSeen returns the newest position that any server has answered with.
func (c *calls) newestSeen() Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.newest
}

// observe takes note of the position of an answer. It refuses another store,
// and announces a new epoch.
func (c *calls) observe(p Position) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case p.Store == StoreID{}:
		return Errorf(ErrUnavailable, "the answer has no position")
	case c.newest.IsZero():
		c.newest = p
		return nil
	case p.Store != c.newest.Store:
		return Errorf(ErrOtherStore, "it is %s, and this client belongs to %s", p.Store, c.newest.Store)
	}
	if p.Epoch.Generation > c.newest.Epoch.Generation {
		c.log.Warn("new epoch: the store has lost history; keys that it lost keep their last value",
			"generation", p.Epoch.Generation, "before", c.newest.Epoch.Generation)
	}
	if p.Compare(c.newest) > 0 {
		c.newest = p
	}
	return nil
}

// fetch asks for the present state of a key, and refuses an answer that is not
// what was asked for.
func (c *calls) fetch(ctx context.Context, key Key, after Position) (update, error) {
	resp, err := c.transport.Fetch(ctx, &FetchRequest{Client: c.info, Key: key, After: after})
	if err != nil {
		return update{}, callError(ctx, "fetch", key, err)
	}
	n := update{found: resp.Found, at: resp.Position, asOf: time.Now().Add(-resp.Stale)}
	if resp.Found {
		if !genuine(&resp.Entry, key) {
			return update{}, &Error{Op: "fetch", Key: key, Err: ErrUnavailable, Detail: "the answer is not what was asked for, or damaged"}
		}
		n.entry = viewOf(resp.Entry)
	}
	if err := c.observe(resp.Position); err != nil {
		return update{}, opError("fetch", key, err)
	}
	if resp.Position.Compare(after) < 0 {
		return update{}, &Error{Op: "fetch", Key: key, Err: ErrBehind, Remote: true}
	}
	return n, nil
}

// persist asks until there is an answer, an error that asking again does not
// help, or no time left. So a read bears servers that restart for as long as
// its caller does.
func persist[Resp any](ctx context.Context, op string, key Key, ask func() (Resp, error)) (Resp, error) {
	var none Resp
	pause := backoff.Backoff{Cap: maxPause}
	var failed error // why the last attempt did
	for {
		resp, err := ask()
		if err == nil {
			return resp, nil
		}
		if ctx.Err() != nil {
			return none, opError(op, key, gaveUp(ctx, failed))
		}
		if failed = callError(ctx, op, key, err); !passing(failed) {
			return none, failed
		}
		if pause.Wait(ctx, retryAfterOf(failed)) != nil {
			return none, opError(op, key, gaveUp(ctx, failed))
		}
	}
}

// errTimeout is the cause of a context that ended by a timeout of the client's own.
var errTimeout = errors.New("no answer in time")

// callError says why a call of op failed: an ended context first, since that
// is what its other errors come from.
func callError(ctx context.Context, op string, key Key, err error) error {
	if ctx == nil || ctx.Err() == nil {
		return opError(op, key, ofServer(err))
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, ErrClosed):
		return &Error{Op: op, Key: key, Err: ErrClosed}
	case errors.Is(cause, errTimeout):
		return &Error{Op: op, Key: key, Err: ErrUnavailable, Detail: errTimeout.Error()}
	}
	return opError(op, key, ctx.Err())
}

// gaveUp says why nothing is known of a key when ctx has ended: the error of
// the last attempt, and that of ctx where it is the caller's.
func gaveUp(ctx context.Context, failed error) error {
	err := callError(ctx, "", Key{}, nil)
	switch own := context.Cause(ctx); {
	case errors.Is(own, errTimeout) && failed != nil:
		return failed
	case errors.Is(own, context.DeadlineExceeded) && failed != nil:
		return tooLate(failed, own)
	case errors.Is(own, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrUnavailable, own)
	}
	return err
}

// tooLate returns last, for which the time was not enough, and how that ended: the
// reason stands first.
func tooLate(last, cause error) error {
	var e *Error
	if !errors.As(last, &e) || last != error(e) {
		return fmt.Errorf("%w (%w)", last, cause)
	}
	if c := new(Error); errors.As(cause, &c) {
		cause = c.Err
	}
	late := *e
	late.Err = fmt.Errorf("%w (%w)", e.Err, cause)
	return &late
}

// isPermanent reports whether asking again will not help.
func isPermanent(err error) bool {
	return errors.Is(err, ErrInvalid) || errors.Is(err, ErrDenied) || errors.Is(err, ErrTooLarge)
}

// passing reports whether err says that nothing was done, and may pass.
func passing(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOverloaded) || errors.Is(err, ErrBehind)
}

// answered reports whether a call that ended with err was answered by a server.
func answered(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return err == nil || ok && e.Remote
}

// retryAfterOf returns how long the server that said err wants to be left alone.
func retryAfterOf(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// pauseCap returns how long a pause after err may be at most. Who cannot be
// asked is not spared by a long one, and is to be found again soon after it is
// back; who asks for peace has it.
func pauseCap(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok && e.Remote {
		return backoff.DefaultCap
	}
	return maxPause
}

// ofServer returns an error of a transport as one of a client: that a server is
// closed does not say that the client is. Another one may do, or the next that
// is started there.
func ofServer(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || !e.Remote || !errors.Is(err, ErrClosed) || errors.Is(err, ErrUnknownOutcome) {
		return err
	}
	own := *e
	own.Err, own.Detail = ErrUnavailable, "the server is closed"
	return &own
}
