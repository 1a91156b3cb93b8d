package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

const (
	// startTimeout is the longest time that New waits for a storage that neither answers
	// nor fails. If there is a replica to serve from, it waits for confirmTimeout.
	startTimeout   = 10 * time.Second
	confirmTimeout = time.Second
	// endTimeout is the longest time that Close waits for the commits under way, and then
	// again for the last writes of the replica.
	endTimeout = 5 * time.Second
	// sweepInterval is the interval at which everything that has expired is dropped.
	sweepInterval = time.Minute
)

// engine starts and ends the parts of a server. Its goroutines are the feed, which alone
// changes what is served, the committer, the sweeper, the checker, the writer of the
// replica, and one for each content that is being loaded. Waiters block in the caller's
// goroutine.
type engine struct {
	log       *slog.Logger
	served    *served
	health    *health
	replica   *replica // or nil if none is kept
	feed      *feed
	committer *committer
	reads     *reads
	polls     *polls
	checker   *checker
	reports   *reports
	outcomes  outcomes
	close     func() // ends all goroutines, once, and waits for them
}

// newEngine returns an engine on storage that is not started. Its loads of contents
// end with ctx.
func newEngine(ctx context.Context, storage Storage, cfg *Config) *engine {
	e := &engine{log: cfg.Logger, reports: newReports()}
	storage = bounded(storage)
	sources := []source{sourceOf(ctx, storage.Read)}
	if cfg.Replica != nil {
		e.replica = newReplica(boundedLocal(cfg.Replica), cfg.Logger)
		sources = []source{sourceOf(ctx, e.replica.read), sources[0]} // the nearest first
	}
	e.served = newServed(cfg.Logger, newContents(cfg.CacheBytes, sources...))
	e.served.ungoverned = cfg.Ungoverned
	e.health = newHealth(cfg.Logger, cfg.FeedInterval)
	if e.replica != nil {
		e.replica.follow(&e.served.recent, e.readMissed(storage), e.installReplica(storage))
	}
	e.feed = newFeed(cfg.Logger, cfg.FeedInterval, storage, e.served, e.replica, e.health)
	e.committer = newCommitter(storage, cfg.MaxInflight, e.feed)
	e.reads = newReads(storage, e.feed)
	e.polls = newPolls(cfg, e.reads)
	e.checker = newChecker(cfg.Logger, cfg.CheckInterval, storage, e.feed)
	return e
}

// sourceOf returns a source of contents that are read by read.
func sourceOf(ctx context.Context, read func(context.Context, conf.Key, int64) (conf.Entry, error)) source {
	return func(key conf.Key, revision int64) (conf.Entry, error) {
		e, err := read(ctx, key, revision)
		return e, storageErr(ctx, err)
	}
}

// readMissed returns the function by which the replica reads what it has missed.
func (e *engine) readMissed(storage Storage) func(context.Context, conf.Position) (conf.Batch, error) {
	return func(ctx context.Context, after conf.Position) (conf.Batch, error) {
		batch, _, err := reader{storage}.changes(e.health.fresh(conf.ReadForFeed(ctx)), after)
		return batch, err
	}
}

// installReplica returns the function that rebuilds the replica from what is served at
// exactly one position, so that a server can later start from the replica.
func (e *engine) installReplica(storage Storage) func(context.Context) (conf.Position, error) {
	return func(ctx context.Context) (conf.Position, error) {
		st, records := e.served.snapshot()
		if st == nil {
			return conf.Position{}, unavailable("not ready: there is nothing to make the replica of")
		}
		err := e.replica.local.Install(ctx, st.position, reader{storage}.entries(ctx, "", records))
		return st.position, err
	}
}

// startEngine starts an engine on storage. It returns when the engine has loaded, or cannot
// load for now. If it returns an error, the engine can never load, and has ended.
func startEngine(storage Storage, cfg *Config) (*engine, error) {
	ctx, cancel := context.WithCancel(context.Background())
	e := newEngine(ctx, storage, cfg)
	if e.replica != nil {
		if err := e.feed.startFromReplica(ctx); err != nil {
			cancel()
			return nil, err
		}
	}
	first := make(chan error, 1)
	var working, committing sync.WaitGroup
	working.Go(func() { e.feed.run(ctx, first) })
	working.Go(func() { e.sweep(ctx) })
	working.Go(func() { e.checker.run(ctx) })
	if e.replica != nil {
		working.Go(func() { e.replica.run(ctx) })
	}
	committing.Go(func() { e.committer.run(ctx) })
	// The order matters. First no request is taken any more, and parked ones are answered.
	// Then the commits under way end, while the feed still serves what they have committed,
	// so that their publishers are answered. Then everything else stops.
	e.close = sync.OnceFunc(func() {
		e.served.closed.Store(true)
		e.Drain()
		e.committer.queue.Close(conf.Result{Err: closedError()})
		hung := time.AfterFunc(endTimeout, cancel)
		committing.Wait() // the feed still runs: what is committed is acknowledged
		hung.Stop()
		e.served.stopped.Store(true)
		cancel()
		e.served.wakeAll()
		working.Wait()
		if e.replica != nil { // its last writes, now that nothing changes any more
			flushing, cancel := context.WithTimeout(context.Background(), endTimeout)
			e.replica.flush(flushing)
			cancel()
		}
		e.committer.subscribers.close()
		e.served.contents.close()
	})
	return e, e.loaded(first)
}

// loaded waits for the outcome of the feed's first round.
func (e *engine) loaded(first <-chan error) error {
	wait := startTimeout
	if e.served.state.Load() != nil {
		wait = confirmTimeout
	}
	select {
	case err := <-first:
		nothing := e.served.state.Load() == nil
		if errors.Is(err, conf.ErrClosed) || nothing && (errors.Is(err, conf.ErrCorrupt) || errors.Is(err, conf.ErrOtherStore)) {
			e.close()
			return err
		}
	case <-time.After(wait):
		e.log.Warn("the storage does not answer; going on without it for now")
	}
	return nil
}

// Drain implements diamond.Server.
func (e *engine) Drain() { e.polls.drain() }

// Close implements diamond.Server.
func (e *engine) Close() error {
	e.close()
	return nil
}

// sweep drops everything that has expired, at an interval until ctx ends.
func (e *engine) sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			e.served.contents.expire()
			e.polls.sets.Expire()
			e.polls.clients.expire()
			e.reports.expire()
		}
	}
}

// Status implements diamond.Server.
func (e *engine) Status() conf.ServerStatus {
	st := e.served.state.Load()
	status := conf.ServerStatus{
		Ready:     st != nil && !e.served.closed.Load(),
		Draining:  e.polls.draining.Load(),
		Lag:       e.feed.progress.lag(st),
		Replica:   e.replica.status(),
		Waiters:   int(e.polls.parked.Load()),
		SetKeys:   e.polls.sets.Used(),
		Inflight:  e.committer.queue.Len(),
		CacheSize: e.served.contents.bytes.Load(),
	}
	if st != nil {
		status.Position = st.position
		status.Ungoverned = st.governed && e.served.ungoverned
		status.Keys = int(st.index.live.Load())
		status.Listeners = e.reports.count(st.index)
	}
	e.health.describe(&status)
	e.checker.describe(&status)
	e.outcomes.describe(&status.Counters)
	status.Counters.Wakeups, status.Counters.Forks = e.served.wakeups.Load(), e.served.forks.Load()
	status.Counters.CacheHits, status.Counters.CacheLoads = e.served.contents.hits.Load(), e.served.contents.loaded.Load()
	return status
}
