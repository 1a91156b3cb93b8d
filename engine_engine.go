package diamond

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// startTimeout is how long NewServer waits for a storage that neither answers
	// nor fails, and confirmTimeout when it has a copy to serve meanwhile.
	startTimeout   = 10 * time.Second
	confirmTimeout = time.Second
	// storageTimeout bounds each call of the storage; see [boundedStorage].
	storageTimeout = 30 * time.Second
	// endTimeout is for how long the end of a commit is waited for by Close.
	endTimeout = 5 * time.Second
	// reachTimeout is how long a request waits for the server to reach the position it names.
	reachTimeout = 3 * time.Second
	// sweepInterval is how often that which has expired is let go.
	sweepInterval = time.Minute
)

// server implements [Server]. Its goroutines are the feed, which alone changes
// what is served, the committer, the sweeper, the checker, the writer of the
// copy on disk, and one for each content that is being loaded. Who waits has
// none but the caller's own.
type server struct {
	storage Storage
	cfg     serverConfig

	*served
	*health
	*feed
	log    *slog.Logger
	reader reader

	replica *replica // nil: none is kept

	keySets   *keySets
	parked    atomic.Int64  // polls and watches that wait
	listing   chan struct{} // capacity 1: a list walks along the keys
	committer *committer
	reports   *reports

	divergent atomic.Int64          // keys that the last check found to differ
	checkErr  atomic.Pointer[error] // why the last check was not completed; nil: it was

	counters counters

	draining atomic.Bool
	close    func() // ends all goroutines, once, and waits for them
}

// NewServer returns a server on storage. It loads what it serves from memory,
// and returns when that is done, or has failed for the first time: then the
// server is not ready, which callers are told with ErrUnavailable, and goes on
// trying in the background. A storage that does not answer at all is waited for
// no more than 10 s.
//
// Errors: ErrInvalid for an option, ErrCorrupt or ErrClosed from the storage;
// for those of a copy on disk see [WithReplica]. The storage is the caller's to
// close, after the server.
func NewServer(storage Storage, opts ...ServerOption) (Server, error) {
	cfg := defaultServerConfig()
	for _, opt := range opts {
		opt.applyServer(&cfg)
	}
	if err := cfg.validate(); err != nil {
		return nil, opError("new server", Key{}, err)
	}
	if storage == nil {
		return nil, opError("new server", Key{}, invalidf("storage: is nil"))
	}
	s := newServer(storage, cfg)
	if err := s.start(); err != nil {
		return nil, opError("new server", Key{}, err)
	}
	return s, nil
}

func newServer(storage Storage, cfg serverConfig) *server {
	bounded := boundedStorage{storage}
	served := newServed(cfg.logger)
	health := newHealth(cfg.logger, cfg.feedInterval)
	feed := newFeed(cfg.logger, cfg.feedInterval, bounded, served, health)
	return &server{
		storage:   bounded,
		cfg:       cfg,
		log:       cfg.logger,
		reader:    reader{bounded},
		served:    served,
		health:    health,
		feed:      feed,
		keySets:   newKeySets(served.keyWaiters, cfg.maxSetKeys, cfg.addressSetKeys),
		listing:   make(chan struct{}, 1),
		committer: newCommitter(bounded, cfg.maxInflight, feed),
		reports:   newReports(),
	}
}

// start starts the server's goroutines, and returns when it has loaded or
// cannot for now. An error says that it never will, and all has ended.
func (s *server) start() error {
	ctx, cancel := context.WithCancel(context.Background())
	s.contents = newContents(s.cfg.cacheBytes, s.sources(ctx)...)
	if s.cfg.replica != nil {
		s.keepReplica()
		if err := s.feed.startFromReplica(ctx); err != nil {
			cancel()
			return err
		}
	}
	loaded := make(chan error, 1)
	var working, committing sync.WaitGroup
	working.Go(func() { s.feed.run(ctx, loaded) })
	working.Go(func() { s.sweep(ctx) })
	working.Go(func() { s.checkAlways(ctx) })
	if s.replica != nil {
		working.Go(func() { s.replica.run(ctx) })
	}
	committing.Go(func() { s.committer.run(ctx) })
	s.close = sync.OnceFunc(func() {
		s.closed.Store(true)
		s.Drain()
		s.committer.queue.Close(Result{Err: closedError()})
		hung := time.AfterFunc(endTimeout, cancel)
		committing.Wait() // the feed still runs: what is committed is acknowledged
		hung.Stop()
		s.stopped.Store(true)
		cancel()
		s.wakeAll()
		working.Wait()
		if s.replica != nil {
			flushing, cancel := context.WithTimeout(context.Background(), endTimeout)
			s.replica.flush(flushing)
			cancel()
		}
		s.committer.subscribers.close()
		s.contents.close()
	})
	return s.loaded(loaded)
}

// loaded waits for the outcome of the feed's first round.
func (s *server) loaded(first <-chan error) error {
	wait := startTimeout
	if s.state.Load() != nil {
		wait = confirmTimeout
	}
	select {
	case err := <-first:
		nothing := s.state.Load() == nil
		if errors.Is(err, ErrClosed) || nothing && (errors.Is(err, ErrCorrupt) || errors.Is(err, ErrOtherStore)) {
			s.close()
			return err
		}
	case <-time.After(wait):
		s.log.Warn("the storage does not answer; going on without it for now")
	}
	return nil
}

// sources are where contents come from, the nearest first.
func (s *server) sources(ctx context.Context) []source {
	from := func(read func(context.Context, Key, int64) (Entry, error)) source {
		return func(key Key, revision int64) (Entry, error) {
			e, err := read(ctx, key, revision)
			return e, storageErr(ctx, err)
		}
	}
	if s.cfg.replica == nil {
		return []source{from(s.storage.Read)}
	}
	return []source{
		from(func(ctx context.Context, key Key, revision int64) (Entry, error) {
			return s.replica.read(ctx, key, revision)
		}),
		from(s.storage.Read),
	}
}

func (c *serverConfig) validate() error {
	var p problems
	if c.logger == nil {
		p.add("logger: is nil")
	}
	positive := func(name string, n int64) {
		if n <= 0 {
			p.add("%s: %d, less than 1", name, n)
		}
	}
	positive("max content", c.maxContent)
	positive("cache bytes", c.cacheBytes)
	positive("feed interval", int64(c.feedInterval))
	positive("check interval", int64(c.checkInterval))
	positive("limit of waiters", int64(c.maxWaiters))
	positive("limit of commits in flight", int64(c.maxInflight))
	positive("limit of keys in sets", c.maxSetKeys)
	positive("limit of keys in sets from one address", c.addressSetKeys)
	return p.err()
}

// Drain implements [Server].
func (s *server) Drain() {
	s.draining.Store(true)
	s.wakeAll()
}

// Close implements [Server].
func (s *server) Close() error {
	s.close()
	return nil
}

// sweep lets go of what has expired.
func (s *server) sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.contents.expire()
			s.keySets.expire()
			s.reports.expire()
		}
	}
}

// answerError returns why op on key failed: the end of the caller's context,
// or what the server has to say.
func answerError(ctx context.Context, op string, key Key, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return opError(op, key, err)
	}
	return remoteError(op, key, err)
}

// remoteError returns err as the server's answer to op on key, or on the key that
// err names.
func remoteError(op string, key Key, err error) error {
	if named := new(Error); errors.As(err, &named) && named.Key != (Key{}) {
		key = named.Key
	}
	e := opError(op, key, err).(*Error)
	e.Remote = true
	return e
}

// keepReplica has the server keep a replica.
func (s *server) keepReplica() {
	local := bounded(s.cfg.replica)
	s.replica = &replica{
		local:  local,
		recent: &s.recent,
		log:    s.log,
		woken:  make(chan struct{}, 1),
		changes: func(ctx context.Context, after Position) (Batch, error) {
			batch, _, err := s.reader.changes(s.health.fresh(readForFeed(ctx)), after)
			return batch, err
		},
		// Exactly what is served at one position, so that it can be served from there,
		// whenever that will be.
		install: func(ctx context.Context) (Position, error) {
			st, records := s.snapshot()
			if st == nil {
				return Position{}, unavailable("not ready: there is nothing to make the replica of")
			}
			err := local.Install(ctx, st.position, s.reader.entries(ctx, records))
			return st.position, err
		},
	}
	s.feed.replica = s.replica
}

// Status implements [Server].
func (s *server) Status() ServerStatus {
	st := s.state.Load()
	status := ServerStatus{
		Ready:     st != nil && !s.closed.Load(),
		Draining:  s.draining.Load(),
		Waiters:   int(s.parked.Load()),
		SetKeys:   s.keySets.total.Used(),
		Inflight:  s.committer.queue.Len(),
		CacheSize: s.contents.bytes.Load(),
		Counters:  s.counters.read(s.served),
	}
	s.health.describe(&status)
	status.Lag = s.progress.lag(st)
	status.Replica = s.replica.status()
	status.Divergent = int(s.divergent.Load())
	if p := s.checkErr.Load(); p != nil {
		status.CheckErr = *p
	}
	if st != nil {
		status.Position = st.position
		status.Keys = int(st.index.live.Load())
		status.Listeners = s.reports.count(st.index)
	}
	return status
}

// Nudge implements [Server].
func (s *server) Nudge(p Position) { s.claimed(p) }
