package diamond

import (
	"context"
	"crypto/rand"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/internal/coalesce"
	"github.com/linnaname/gdiamond/internal/hung"
	"github.com/linnaname/gdiamond/internal/worker"
)

const (
	snapshotGrace = time.Second      // for a server that was asked, before a snapshot is good enough
	filePatience  = 2 * time.Second  // for one call of the local files
	closeTimeout  = 10 * time.Second // for listeners, when closing
	flushTimeout  = 3 * time.Second  // for snapshots, when closing
)

// client implements [Client].
type client struct {
	calls *calls
	log   *slog.Logger
	local LocalFiles          // nil: none
	files *hung.Calls[fileID] // makes its calls that read

	slots *slots

	stop       context.CancelFunc // ends all background goroutines but the writer
	flush      context.CancelFunc // ends the writer
	background sync.WaitGroup     // all background goroutines
	loading    chan struct{}      // a semaphore for first fetches, of those that may still be answered in time

	running map[*worker.Worker]Key // guarded by the slots' mu: whose callbacks are being called, stopped ones too
	heard   time.Time              // guarded by the slots' mu: when a server last answered a first fetch
	poll    pollState              // guarded by the slots' mu

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
	if config.logger == nil {
		config.logger = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	writing, flush := context.WithCancel(context.Background())
	c := &client{
		log:     config.logger,
		local:   config.local,
		files:   hung.New[fileID](filePatience, maxFileReads),
		slots:   newSlots(config.logger),
		stop:    stop,
		flush:   flush,
		loading: make(chan struct{}, firstFetches),
		running: make(map[*worker.Worker]Key),
		poll:    pollState{joined: make(chan struct{}, 1)},
		loads:   coalesce.New[*keySlot, struct{}](),
		refused: coalesce.New[*keySlot, struct{}](),
		missing: coalesce.New[*keySlot, struct{}](),
		reports: coalesce.New[Key, Report](),
		writes:  coalesce.New[snapshotID, Snapshot](),

		crowdedOut: coalesce.New[*keySlot, struct{}](),
	}
	c.slots.shown, c.slots.learned, c.slots.joined = c.notify, c.saveFetched, c.onJoined
	info := config.info
	info.Labels = maps.Clone(info.Labels)
	if info.ID == "" {
		info.ID = c.clientID()
	}
	c.calls = newCalls(transport, info, c.log)

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
