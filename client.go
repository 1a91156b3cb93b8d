package diamond

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/internal/coalesce"
	"github.com/linnaname/gdiamond/internal/growmap"
	"github.com/linnaname/gdiamond/internal/hung"
	"github.com/linnaname/gdiamond/internal/worker"
)

// How long a client waits, where the caller's context does not say.
const (
	getTimeout  = 3 * time.Second  // for a first Get, with neither server nor snapshot
	callTimeout = 10 * time.Second // for a commit with its retries, and for one-off questions
	// pollSlack is how long after its wait an answer may come: a little longer than
	// transports take to notice that a connection is dead, as they know what else is lost.
	pollSlack     = 5*time.Second + 250*time.Millisecond
	maxPause      = 4 * time.Second  // between tries of a call, and polls of servers that cannot be asked
	snapshotGrace = time.Second      // for a server that was asked, before a snapshot is good enough
	filePatience  = 2 * time.Second  // for one call of the local files
	fetchTimeout  = 10 * time.Second // for one content
	closeTimeout  = 10 * time.Second // for listeners, when closing
	flushTimeout  = 3 * time.Second  // for snapshots, when closing
)

// client implements [Client].
//
// What is known of each key is in its slot. Everything that changes one is
// done under mu, a whole answer at a time; reading one takes no lock.
type client struct {
	transport Transport
	info      ClientInfo
	log       *slog.Logger
	local     LocalFiles          // nil: none
	files     *hung.Calls[fileID] // makes its calls that read

	slots         *growmap.Map[Key, *keySlot]
	confirmedAsOf atomic.Pointer[time.Time] // as of when the last answer to a poll confirms all followed keys
	closed        atomic.Bool               // set under mu

	stop       context.CancelFunc // ends all background goroutines but the writer
	flush      context.CancelFunc // ends the writer
	background sync.WaitGroup     // all background goroutines
	loading    chan struct{}      // a semaphore for first fetches, of those that may still be answered in time

	mu      sync.Mutex
	calls   map[*context.CancelCauseFunc]bool // guarded by mu: calls that Close ends
	running map[*worker.Worker]Key            // guarded by mu: whose callbacks are being called, stopped ones too
	newest  Position                          // guarded by mu: the newest that any server answered with
	heard   time.Time                         // guarded by mu: when a server last answered a first fetch
	poll    pollState                         // guarded by mu

	loads   *coalesce.Queue[*keySlot, struct{}]   // first fetches to start
	refused *coalesce.Queue[*keySlot, struct{}]   // to be asked for again, now and then
	missing *coalesce.Queue[*keySlot, struct{}]   // contents that a poll named and that could not be fetched at once
	reports *coalesce.Queue[Key, Report]          // what became of values
	writes  *coalesce.Queue[snapshotID, Snapshot] // snapshots to write

	crowdedOut *coalesce.Queue[*keySlot, struct{}] // files that were not read as too many others hang
}

// NewClient returns a client that asks transport, which it does not close.
// Errors wrap [ErrInvalid].
//
// The first server that answers names the store that the client belongs to;
// servers of another one are refused with [ErrOtherStore] for as long as the
// client lives. Snapshots of another store are ignored once a server has
// answered: to keep them from being used while none can be reached, delete the
// directory that they are in.
func NewClient(transport Transport, opts ...ClientOption) (Client, error) {
	if transport == nil {
		return nil, &Error{Op: "new client", Err: ErrInvalid, Detail: "transport: is nil"}
	}
	config := clientConfig{}
	for _, o := range opts {
		o.applyClient(&config)
	}
	if err := config.info.Validate(); err != nil {
		return nil, opError("new client", Key{}, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	writing, flush := context.WithCancel(context.Background())
	c := &client{
		transport: transport,
		log:       config.logger,
		local:     config.local,
		files:     hung.New[fileID](filePatience, maxFileReads),
		info:      config.info,
		slots:     growmap.New[Key, *keySlot](),
		stop:      stop,
		flush:     flush,
		loading:   make(chan struct{}, firstFetches),
		calls:     make(map[*context.CancelCauseFunc]bool),
		running:   make(map[*worker.Worker]Key),
		poll:      newPollState(),
		loads:     coalesce.New[*keySlot, struct{}](),
		refused:   coalesce.New[*keySlot, struct{}](),
		missing:   coalesce.New[*keySlot, struct{}](),
		reports:   coalesce.New[Key, Report](),
		writes:    coalesce.New[snapshotID, Snapshot](),

		crowdedOut: coalesce.New[*keySlot, struct{}](),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.info.Labels = maps.Clone(c.info.Labels)
	if c.info.ID == "" {
		c.info.ID = c.clientID()
	}

	c.background.Go(func() { c.runPolls(ctx) })
	c.background.Go(func() { c.runLoads(ctx) })
	c.background.Go(func() { c.runRefused(ctx) })
	c.background.Go(func() { c.runMissing(ctx) })
	c.background.Go(func() { c.runReports(ctx) })
	c.background.Go(func() { c.runLetGo(ctx) })
	if c.local != nil {
		c.background.Go(func() { c.runOverrides(ctx) })
		c.background.Go(func() { c.runCrowdedOut(ctx) })
		c.background.Go(func() { c.runWrites(writing) })
	}
	return c, nil
}

// clientID returns the id of the local files, or a random one: a directory
// that cannot be written does not keep a client from working.
func (c *client) clientID() string {
	if c.local != nil {
		id, err := hung.Do(c.files, fileID{}, c.local.ClientID, nil)
		if err == nil {
			return id
		}
		c.log.Warn("no stable client id", "error", err)
	}
	return rand.Text()
}

// begin starts a call that asks the transport for the caller: the context ends
// with the client, too, and after timeout where ctx has no deadline (0: never).
func (c *client) begin(ctx context.Context, timeout time.Duration) (_ context.Context, end func(), err error) {
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
	if c.closed.Load() {
		stop()
		cancel(nil)
		return nil, nil, ErrClosed
	}
	c.calls[&cancel] = true
	return ctx, func() {
		c.mu.Lock()
		delete(c.calls, &cancel)
		c.mu.Unlock()
		cancel(nil)
		stop()
	}, nil
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
