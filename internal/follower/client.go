package follower

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/worker"
)

// Client implements diamond.Client with one part for each task. A part knows only the
// parts above it in this list, and never the client.
type Client struct {
	health   *health
	calls    *calls
	slots    *slots
	disk     *disk
	refused  *refusals
	fetcher  *fetcher
	poller   *poller
	loader   *loader
	reports  *reporter
	notifier *notifier

	*directReads // Read, Head, List, History and Watch
	*publisher   // Publish, Delete and Commit

	log        *slog.Logger
	stop       context.CancelFunc // ends all background goroutines except the writer of snapshots
	flush      context.CancelFunc // ends the writer of snapshots
	background sync.WaitGroup     // all background goroutines
}

// Config configures a [Client]. The zero Config is valid.
type Config struct {
	Logger   *slog.Logger // nil discards the records
	Files    Files        // or nil if there are none
	Info     conf.ClientInfo
	Timeouts Timeouts
}

// New returns a client that asks transport, as diamond.NewClient describes.
func New(transport Transport, config Config) (*Client, error) {
	if transport == nil {
		return nil, conf.Invalidf("transport: is nil")
	}
	if err := config.Info.Validate(); err != nil {
		return nil, err
	}
	timeouts, err := config.Timeouts.complete()
	if err != nil {
		return nil, err
	}
	config.Timeouts = timeouts
	config.Info.Labels = maps.Clone(config.Info.Labels)
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	return start(transport, config), nil
}

// start starts a client. Config must be valid and complete.
func start(transport Transport, config Config) *Client {
	ctx, stop := context.WithCancel(context.Background())
	writing, flush := context.WithCancel(context.Background())
	c := &Client{
		health: newHealth(config.Logger),
		slots:  newSlots(config.Logger),
		log:    config.Logger,
		stop:   stop,
		flush:  flush,
	}
	c.calls = newCalls(transport, config.Info, config.Timeouts, c.health)
	c.disk = newDisk(config.Files, c.health, c.slots, c.calls.newestSeen, &c.background)
	c.refused = newRefusals(c.calls, c.slots)
	c.fetcher = newFetcher(c.calls, c.slots, c.refused.refuse, c.log)
	c.poller = newPoller(c.calls, c.slots, c.refused, c.fetcher)
	c.loader = newLoader(c.calls, c.slots, c.disk.read, c.refused.refuse, &c.background)
	c.reports = newReporter(c.calls, c.slots)
	c.notifier = newNotifier(c.calls, c.slots, c.disk, c.reports.report, c.log, c.loader.patience)
	c.directReads = &directReads{calls: c.calls}
	c.publisher = &publisher{calls: c.calls, catchUp: c.fetcher.catchUpKeys}
	c.slots.shown, c.slots.learned, c.slots.joined = c.notifier.notify, c.disk.saveFetched, c.poller.onJoined
	if c.calls.info.ID == "" {
		c.calls.info.ID = c.disk.clientID()
	}

	c.background.Go(func() { c.poller.run(ctx) })
	c.background.Go(func() { c.poller.runLetGo(ctx) })
	c.background.Go(func() { c.refused.run(ctx) })
	c.background.Go(func() { c.fetcher.run(ctx) })
	c.background.Go(func() { c.loader.run(ctx) })
	c.background.Go(func() { c.reports.run(ctx) })
	if config.Files != nil {
		c.background.Go(func() { c.disk.runOverrides(ctx) })
		c.background.Go(func() { c.disk.runCrowdedOut(ctx) })
		c.background.Go(func() { c.disk.runWrites(writing) })
	}
	return c
}

// Get implements diamond.Client.
func (c *Client) Get(ctx context.Context, key conf.Key) (config conf.Config, err error) {
	if s, ok := c.slots.byKey.Load(key.Canonical()); ok && !c.slots.closed.Load() {
		if st := s.shown.Load(); st != nil {
			if !s.used.Load() { // written only once, so that many readers share the cache line
				s.used.Store(true)
			}
			config = st.config
			config.Confirmed = st.confirmed(&c.slots.confirmedAsOf)
			return config, st.err
		}
	}
	config, err = c.firstGet(ctx, key.Canonical())
	return config, conf.WithOp("get", key, err)
}

// firstGet waits until something is known of key. All callers that wait for a key
// share one fetch, which is repeated while it fails.
func (c *Client) firstGet(ctx context.Context, key conf.Key) (conf.Config, error) {
	ctx, end, err := c.calls.begin(ctx, 0)
	if err != nil {
		return conf.Config{}, err
	}
	defer end()
	if err := key.Validate(); err != nil {
		return conf.Config{}, err
	}
	c.slots.mu.Lock()
	s, err := c.slots.slotOf(key)
	c.slots.mu.Unlock()
	if err != nil {
		return conf.Config{}, err
	}
	return c.loader.awaitShown(ctx, s)
}

// Peek implements diamond.Client. A key that is not followed gets a slot that no poll and
// no other call uses.
func (c *Client) Peek(ctx context.Context, key conf.Key) (conf.Config, error) {
	key = key.Canonical()
	ctx, end, err := c.calls.begin(ctx, 0)
	if err != nil {
		return conf.Config{}, conf.WithOp("peek", key, err)
	}
	defer end()
	if err := key.Validate(); err != nil {
		return conf.Config{}, conf.WithOp("peek", key, err)
	}
	if s, ok := c.slots.byKey.Load(key); ok {
		if st := s.shown.Load(); st != nil {
			return st.read(&c.slots.confirmedAsOf)
		}
	}
	s := newSlot(key)
	s.alone = true
	config, err := c.loader.awaitShown(ctx, s)
	return config, conf.WithOp("peek", key, err)
}

// Together implements diamond.Client. Answers to polls are applied as a whole under one
// lock. So keys that are all known exactly up to the position of the last answer
// form a state that the store once had.
func (c *Client) Together(ctx context.Context, keys ...conf.Key) (configs map[conf.Key]conf.Config, at conf.Position, err error) {
	ctx, end, err := c.calls.begin(ctx, c.calls.timeouts.First)
	if err != nil {
		return nil, conf.Position{}, conf.WithOp("together", conf.Key{}, err)
	}
	defer end()
	slots := make([]*slot, len(keys))
	for i, key := range keys {
		key = key.Canonical()
		if err := key.Validate(); err != nil {
			return nil, conf.Position{}, conf.WithOp("together", key, err)
		}
		c.slots.mu.Lock()
		slots[i], err = c.slots.slotOf(key)
		c.slots.mu.Unlock()
		if err != nil {
			return nil, conf.Position{}, conf.WithOp("together", key, err)
		}
		if _, err := c.loader.awaitShown(ctx, slots[i]); err != nil && slots[i].shown.Load() == nil {
			return nil, conf.Position{}, conf.WithOp("together", key, err)
		}
	}
	for {
		c.slots.mu.Lock()
		behind := firstBehind(slots)
		if behind == nil {
			configs, at = c.slots.read(slots)
			c.slots.mu.Unlock()
			return configs, at, nil
		}
		for _, s := range slots {
			c.poller.await(s)
		}
		changed, failed := behind.next(), behind.loadErr
		c.slots.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, conf.Position{}, conf.WithOp("together", behind.key, gaveUp(ctx, failed))
		}
	}
}

// Subscribe implements diamond.Client.
func (c *Client) Subscribe(key conf.Key, listener Listener) (*Subscription, error) {
	key = key.Canonical()
	if err := key.Validate(); err != nil {
		return nil, conf.WithOp("subscribe", key, err)
	}
	if listener == nil {
		return nil, &conf.Error{Op: "subscribe", Key: key, Err: conf.ErrInvalid, Detail: "listener: is nil"}
	}
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	s, err := c.slots.slotOf(key)
	if err != nil {
		return nil, conf.WithOp("subscribe", key, err)
	}
	l := &subscription{slot: s, listener: listener, waited: s.loading && s.late}
	l.worker = worker.New(func(ctx context.Context) { c.notifier.deliver(ctx, l) })
	s.listeners = append(s.listeners, l)
	if s.shown.Load() == nil {
		c.loader.start(s)
	}
	c.notifier.notify(s)
	return &Subscription{
		Log:       c.log,
		stop:      func() { c.notifier.stop(l) },
		wait:      func(ctx context.Context) error { return conf.WithOp("wait", key, c.notifier.wait(ctx, l, false)) },
		first:     func(ctx context.Context) error { return conf.WithOp("wait", key, c.notifier.wait(ctx, l, true)) },
		delivered: func() (conf.Config, bool) { return c.notifier.deliveredTo(l) },
		absence:   func() error { return conf.WithOp("wait", key, c.notifier.absence(l)) },
		enter:     func(w *worker.Worker) bool { return c.notifier.enter(w, key) },
		exit:      c.notifier.exit,
	}, nil
}

// SubscribeTogether implements diamond.Client.
func (c *Client) SubscribeTogether(keys []conf.Key, listener TogetherListener) (*Subscription, error) {
	const op = "subscribe together"
	switch {
	case listener == nil:
		return nil, &conf.Error{Op: op, Err: conf.ErrInvalid, Detail: "listener: is nil"}
	case len(keys) == 0:
		return nil, &conf.Error{Op: op, Err: conf.ErrInvalid, Detail: "keys: there are none"}
	}
	distinct := make(map[conf.Key]bool, len(keys))
	for _, key := range keys {
		key = key.Canonical()
		if err := key.Validate(); err != nil {
			return nil, conf.WithOp(op, key, err)
		}
		distinct[key] = true
	}
	j := &jointSubscription{notifier: c.notifier, slots: c.slots, await: c.poller.await, listener: listener}
	j.worker = worker.New(j.deliver)
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	for _, key := range slices.SortedFunc(maps.Keys(distinct), conf.Key.Compare) {
		s, err := c.slots.slotOf(key)
		if err != nil {
			return nil, conf.WithOp(op, key, err)
		}
		j.keys = append(j.keys, s)
		j.parts = append(j.parts, &subscription{slot: s, worker: j.worker})
	}
	for _, l := range j.parts {
		l.slot.listeners = append(l.slot.listeners, l)
		if l.slot.shown.Load() == nil {
			c.loader.start(l.slot)
		}
	}
	j.worker.Wake()
	return &Subscription{
		stop: j.stop,
		wait: func(ctx context.Context) error { return conf.WithOp("wait", conf.Key{}, j.wait(ctx)) },
	}, nil
}

// Status implements diamond.Client. For a key that is not followed it returns
// ErrNotFound.
func (c *Client) Status(keys ...conf.Key) []conf.Status {
	if len(keys) == 0 {
		for key := range c.slots.byKey.All() {
			keys = append(keys, key)
		}
	} else {
		keys = slices.Clone(keys)
		for i := range keys {
			keys[i] = keys[i].Canonical()
		}
	}
	slices.SortFunc(keys, conf.Key.Compare)

	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	out := make([]conf.Status, 0, len(keys))
	for _, key := range keys {
		if s, ok := c.slots.byKey.Load(key); ok {
			out = append(out, c.slots.status(s, c.poller.err))
		} else {
			out = append(out, conf.Status{Key: key, Err: &conf.Error{Op: "status", Key: key, Err: conf.ErrNotFound, Detail: "it is not followed: never read or subscribed to, or let go"}})
		}
	}
	return out
}

// OnError implements diamond.Client.
func (c *Client) OnError(told func(err error)) (stop func()) { return c.health.onError(told) }

// Close implements diamond.Client. It waits at most Timeouts.Close for listeners, and then fails
// with an error that wraps [conf.ErrUnavailable] and names the keys of those still
// running. It waits a few more seconds for snapshots to be written.
func (c *Client) Close() error {
	if !c.calls.close() {
		return nil
	}
	c.slots.mu.Lock()
	c.slots.closed.Store(true)
	halting := c.notifier.stopAll()
	c.slots.mu.Unlock()
	maps.Copy(halting, c.health.close())
	c.stop()

	blocked := haltAll(halting, c.calls.timeouts.Close)
	c.flush() // the writer writes what is left and ends
	stopped := make(chan struct{})
	go func() {
		c.background.Wait()
		close(stopped)
	}()
	late := time.NewTimer(flushTimeout + time.Second)
	defer late.Stop()
	select {
	case <-stopped:
	case <-late.C:
		c.log.Warn("closed before all snapshots were written or the transport has returned")
	}
	if len(blocked) > 0 {
		return &conf.Error{Op: "close", Err: conf.ErrUnavailable, Detail: "listeners still running: " + strings.Join(blocked, ", ")}
	}
	return nil
}
