package diamond

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/internal/coalesce"
	"github.com/linnaname/gdiamond/internal/worker"
)

const (
	snapshotGrace = time.Second      // for a server that was asked, before a snapshot is good enough
	closeTimeout  = 10 * time.Second // for listeners, when closing
)

// client implements [Client].
type client struct {
	calls   *calls
	log     *slog.Logger
	slots   *slots
	disk    *disk
	refused *refusals
	fetcher *fetcher
	poller  *poller

	stop       context.CancelFunc // ends all background goroutines but the writer
	flush      context.CancelFunc // ends the writer
	background sync.WaitGroup     // all background goroutines
	loading    chan struct{}      // a semaphore for first fetches, of those that may still be answered in time

	running map[*worker.Worker]Key // guarded by the slots' mu: whose callbacks are being called, stopped ones too
	heard   time.Time              // guarded by the slots' mu: when a server last answered a first fetch

	loads   *coalesce.Queue[*keySlot, struct{}] // first fetches to start
	reports *coalesce.Queue[Key, Report]        // what became of values
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
	config.info.Labels = maps.Clone(config.info.Labels)
	if config.logger == nil {
		config.logger = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	writing, flush := context.WithCancel(context.Background())
	c := &client{
		log:     config.logger,
		calls:   newCalls(transport, config.info, config.logger),
		slots:   newSlots(config.logger),
		stop:    stop,
		flush:   flush,
		loading: make(chan struct{}, firstFetches),
		running: make(map[*worker.Worker]Key),
		loads:   coalesce.New[*keySlot, struct{}](),
		reports: coalesce.New[Key, Report](),
	}
	c.disk = newDisk(config.local, c.log, c.slots, c.calls.newestSeen, &c.background)
	c.refused = newRefusals(c.calls, c.slots)
	c.fetcher = newFetcher(c.calls, c.slots, c.refused, c.log)
	c.poller = newPoller(c.calls, c.slots, c.refused, c.fetcher, c.log)
	c.slots.shown, c.slots.learned, c.slots.joined = c.notify, c.disk.saveFetched, c.poller.onJoined
	if c.calls.info.ID == "" {
		c.calls.info.ID = c.disk.clientID()
	}

	c.background.Go(func() { c.poller.run(ctx) })
	c.background.Go(func() { c.runLoads(ctx) })
	c.background.Go(func() { c.refused.run(ctx) })
	c.background.Go(func() { c.fetcher.run(ctx) })
	c.background.Go(func() { c.runReports(ctx) })
	c.background.Go(func() { c.poller.runLetGo(ctx) })
	if c.disk.local != nil {
		c.background.Go(func() { c.disk.runOverrides(ctx) })
		c.background.Go(func() { c.disk.runCrowdedOut(ctx) })
		c.background.Go(func() { c.disk.runWrites(writing) })
	}
	return c, nil
}
