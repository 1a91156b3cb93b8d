package follower

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
)

// Times of single requests, which callers cannot set.
const (
	fetchTimeout = 10 * time.Second // for one content
	maxPause     = 4 * time.Second  // longest pause between attempts of a call, and between polls while no server can be reached
	// pollSlack is how long after the end of its wait a poll may be answered. It is a
	// little longer than transports take to report a dead connection, because they
	// know more about the failure.
	pollSlack = 5*time.Second + 250*time.Millisecond
)

// calls sends a client's requests. It keeps the newest position that any server
// answered with, and rejects answers of any store but the first.
type calls struct {
	transport Transport
	info      conf.ClientInfo // goes with every request
	timeouts  Timeouts        // complete
	health    *health
	live      context.Context // ends when the client is closed
	end       context.CancelCauseFunc

	mu     sync.Mutex
	closed bool                              // guarded by mu
	open   map[*context.CancelCauseFunc]bool // guarded by mu: calls for close to cancel
	newest conf.Position                     // guarded by mu: of all answers
}

func newCalls(transport Transport, info conf.ClientInfo, timeouts Timeouts, health *health) *calls {
	c := &calls{transport: transport, info: info, timeouts: timeouts, health: health, open: make(map[*context.CancelCauseFunc]bool)}
	c.live, c.end = context.WithCancelCause(context.Background())
	return c
}

// begin starts a call. The returned context ends with the client, and after timeout
// if ctx has no deadline; a timeout of 0 means never.
func (c *calls) begin(ctx context.Context, timeout time.Duration) (_ context.Context, end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if asked, ok := ctx.Value(askedKey{}).(*Asked); ok {
		asked.Log, asked.Live = c.health.log, c.live
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
		return nil, nil, conf.ErrClosed
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

// Asked is what a call of a client says about the client; see [Ask].
type Asked struct {
	Log  *slog.Logger
	Live context.Context // ends when the client is closed, with the cause ErrClosed
}

// Ask returns a context for one call of a client, which fills in asked. So a caller gets it
// also if the client is wrapped by something that it does not know.
func Ask(ctx context.Context, asked *Asked) context.Context {
	return context.WithValue(ctx, askedKey{}, asked)
}

type askedKey struct{}

// close cancels all open calls and rejects new ones. It returns false if it was
// called before.
func (c *calls) close() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.closed = true
	c.end(conf.ErrClosed)
	for cancel := range c.open {
		(*cancel)(conf.ErrClosed)
	}
	return true
}

// newestSeen returns the newest position that any server has answered with.
func (c *calls) newestSeen() conf.Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.newest
}

// seen returns the position for a request to name: the one that the caller gave, or the
// newest that any server has answered with, if that is newer.
func (c *calls) seen(given conf.Position) conf.Position {
	newest := c.newestSeen()
	if given.IsZero() || given.Store == newest.Store && newest.Compare(given) > 0 {
		return newest
	}
	return given
}

// observe records the position of an answer. It rejects another store, and
// reports a new epoch.
func (c *calls) observe(p conf.Position) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case p.Store == conf.StoreID{}:
		return conf.Errorf(conf.ErrUnavailable, "the answer has no position")
	case c.newest.IsZero():
		c.newest = p
		return nil
	case p.Store != c.newest.Store:
		return conf.Errorf(conf.ErrOtherStore, "it is %s, and this client belongs to %s", p.Store, c.newest.Store)
	}
	if p.Epoch.Generation > c.newest.Epoch.Generation {
		c.health.report(c.health.historyLost, 0, time.Time{},
			conf.Errorf(conf.ErrEpoch, "the generation is %d, and was %d", p.Epoch.Generation, c.newest.Epoch.Generation))
	}
	if p.Compare(c.newest) > 0 {
		c.newest = p
	}
	return nil
}

// fetch requests the present state of a key. It rejects an answer about another
// key, a damaged content and a position before after.
func (c *calls) fetch(ctx context.Context, key conf.Key, after conf.Position) (update, error) {
	resp, err := c.transport.Fetch(ctx, &conf.FetchRequest{Client: c.info, Key: key, After: after})
	if err != nil {
		return update{}, callError(ctx, "fetch", key, err)
	}
	n := update{found: resp.Found, at: resp.Position, asOf: time.Now().Add(-resp.Stale)}
	if resp.Found {
		if !genuine(&resp.Entry, key) {
			return update{}, &conf.Error{Op: "fetch", Key: key, Err: conf.ErrUnavailable, Detail: "the answer is not what was asked for, or damaged"}
		}
		n.entry = viewOf(resp.Entry)
	}
	if err := c.observe(resp.Position); err != nil {
		return update{}, conf.WithOp("fetch", key, err)
	}
	if resp.Position.Compare(after) < 0 {
		return update{}, &conf.Error{Op: "fetch", Key: key, Err: conf.ErrBehind, Remote: true}
	}
	return n, nil
}

// persist repeats ask until it succeeds, fails permanently or ctx ends. So a read
// survives the restart of servers for as long as its caller waits.
func persist[Resp any](ctx context.Context, op string, key conf.Key, ask func() (Resp, error)) (Resp, error) {
	var none Resp
	pause := backoff.Backoff{Cap: maxPause}
	var failed error // of the last attempt
	for {
		resp, err := ask()
		if err == nil {
			return resp, nil
		}
		if ctx.Err() != nil {
			return none, conf.WithOp(op, key, gaveUp(ctx, failed))
		}
		if failed = callError(ctx, op, key, err); !passing(failed) {
			return none, failed
		}
		if pause.Wait(ctx, retryAfterOf(failed)) != nil {
			return none, conf.WithOp(op, key, gaveUp(ctx, failed))
		}
	}
}

// errTimeout is the cause of a context that ended by one of the client's own
// timeouts.
var errTimeout = errors.New("no answer in time")

// callError returns the error of a failed call of op. If ctx has ended, that is the
// reason, because it causes the other errors.
func callError(ctx context.Context, op string, key conf.Key, err error) error {
	if ctx == nil || ctx.Err() == nil {
		return conf.WithOp(op, key, ofServer(err))
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, conf.ErrClosed):
		return &conf.Error{Op: op, Key: key, Err: conf.ErrClosed}
	case errors.Is(cause, errTimeout):
		return &conf.Error{Op: op, Key: key, Err: conf.ErrUnavailable, Detail: errTimeout.Error()}
	}
	return conf.WithOp(op, key, ctx.Err())
}

// gaveUp returns the error for a caller whose ctx has ended: the error of the last
// attempt, with the error of ctx if ctx is the caller's own.
func gaveUp(ctx context.Context, failed error) error {
	err := callError(ctx, "", conf.Key{}, nil)
	switch own := context.Cause(ctx); {
	case errors.Is(own, errTimeout) && failed != nil:
		return failed
	case errors.Is(own, context.DeadlineExceeded) && failed != nil:
		return tooLate(failed, own)
	case errors.Is(own, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", conf.ErrUnavailable, own)
	}
	return err
}

// tooLate returns last, the error of the last attempt, with cause, the end of the
// context, in parentheses after it.
func tooLate(last, cause error) error {
	var e *conf.Error
	if !errors.As(last, &e) || last != error(e) {
		return fmt.Errorf("%w (%w)", last, cause)
	}
	if c := new(conf.Error); errors.As(cause, &c) {
		cause = c.Err
	}
	late := *e
	late.Err = fmt.Errorf("%w (%w)", e.Err, cause)
	return &late
}

// isPermanent reports whether another attempt cannot succeed.
func isPermanent(err error) bool {
	return errors.Is(err, conf.ErrInvalid) || errors.Is(err, conf.ErrDenied) || errors.Is(err, conf.ErrTooLarge)
}

// isFinal reports whether a caller need not wait for another attempt. If servers refuse
// the client's proof of identity, the client goes on asking for the keys that it follows,
// because the file of its token may be replaced.
func isFinal(err error) bool { return isPermanent(err) || errors.Is(err, conf.ErrUnauthenticated) }

// passing reports whether err means that nothing was done and another attempt may
// succeed.
func passing(err error) bool {
	return errors.Is(err, conf.ErrUnavailable) || errors.Is(err, conf.ErrOverloaded) || errors.Is(err, conf.ErrBehind)
}

// answered reports whether a call that returned err was answered by a server.
func answered(err error) bool {
	e, ok := errors.AsType[*conf.Error](err)
	return err == nil || ok && e.Remote
}

// retryAfterOf returns the time to wait before the next request, as the server said in
// err, or 0.
func retryAfterOf(err error) time.Duration {
	if e, ok := errors.AsType[*conf.Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// pauseCap returns the longest pause after err. It is short while no server can be
// reached: a long pause would spare no server, and a server that comes back must be found
// soon. It is long if a server answered with an error.
func pauseCap(err error) time.Duration {
	if e, ok := errors.AsType[*conf.Error](err); ok && e.Remote {
		return backoff.DefaultCap
	}
	return maxPause
}

// ofServer returns the error of a transport as that of a client. A closed server
// does not mean that the client is closed: another server may answer, or the next
// one that starts there.
func ofServer(err error) error {
	e, ok := errors.AsType[*conf.Error](err)
	if !ok || !e.Remote || !errors.Is(err, conf.ErrClosed) || errors.Is(err, conf.ErrUnknownOutcome) {
		return err
	}
	own := *e
	own.Err, own.Detail = conf.ErrUnavailable, "the server is closed"
	return &own
}

// Transport has the methods that a client calls. The contract is that of
// diamond.Transport.
type Transport interface {
	Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error)
	Poll(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error)
	Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error)
	Changes(ctx context.Context, req *conf.ChangesRequest) (*conf.ChangesResponse, error)
	List(ctx context.Context, req *conf.ListRequest) (*conf.ListResponse, error)
	History(ctx context.Context, req *conf.HistoryRequest) (*conf.HistoryResponse, error)
	Report(ctx context.Context, req *conf.ReportRequest) (*conf.ReportResponse, error)
}
