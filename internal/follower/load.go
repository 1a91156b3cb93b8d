package follower

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/coalesce"
)

// firstFetches is the most first fetches at a time.
const firstFetches = 32

// loader makes the first fetches of keys, and lets callers wait for the first
// value.
type loader struct {
	calls      *calls
	slots      *slots
	readFiles  func(s *slot)            // see [disk.read]
	refuse     func(s *slot, err error) // see [refusals.refuse]
	background *sync.WaitGroup          // of the client, which waits for it in Close

	queue  *coalesce.Queue[*slot, struct{}] // first fetches to start
	places chan struct{}                    // a semaphore for first fetches that may still be answered in time

	mu    sync.Mutex
	heard time.Time // guarded by mu: when a server last answered a first fetch
}

func newLoader(
	calls *calls, slots *slots, readFiles func(*slot), refuse func(*slot, error), background *sync.WaitGroup,
) *loader {
	return &loader{
		calls: calls, slots: slots, readFiles: readFiles, refuse: refuse, background: background,
		queue: coalesce.New[*slot, struct{}](), places: make(chan struct{}, firstFetches),
	}
}

// start queues the first fetch of s, unless it is under way. The slots' mu must be
// held.
func (l *loader) start(s *slot) {
	if !s.loading {
		s.loading, s.late, s.loadErr = true, false, nil
		l.queue.Put(s, struct{}{})
	}
}

// run starts the first fetches, each in a goroutine so that no key waits for
// another. The number of requests at a time is limited.
func (l *loader) run(ctx context.Context) {
	for l.queue.Wait(ctx) == nil {
		for s := range l.queue.Take() {
			l.background.Go(func() { l.load(ctx, s) })
		}
	}
}

// load looks for the value of a key in the order override, server, snapshot. It
// reads the files and asks servers in parallel, and applies the results once the
// files have been read or hang, and servers have answered or had their time. In
// every case the key is polled for from then on, unless a server has refused it
// permanently.
func (l *loader) load(ctx context.Context, s *slot) {
	read := make(chan struct{})
	l.background.Go(func() {
		defer close(read)
		l.readFiles(s)
	})
	n, err := l.ask(ctx, s, func() {
		<-read
		l.slots.mu.Lock()
		defer l.slots.mu.Unlock()
		l.slots.settle(s, l.calls.newestSeen())
		l.slots.show(s)
	})
	<-read
	l.finish(s, n, err)
}

// ask asks servers for s once there is a place for the request. It calls late if
// they do not answer in time. The time begins with the request: a key that waits
// for a place is not late while servers answer the requests before it.
func (l *loader) ask(ctx context.Context, s *slot, late func()) (update, error) {
	err := l.awaitPlace(ctx, s.key)
	l.slots.mu.Lock()
	if s.turn.IsZero() {
		s.turn = time.Now()
	}
	l.slots.mu.Unlock()
	if err != nil {
		return update{}, err
	}
	giveBack := sync.OnceFunc(func() { <-l.places })
	defer giveBack()
	timer := time.AfterFunc(l.calls.timeouts.Snapshot, func() {
		giveBack() // the servers may answer another fetch
		late()
	})
	defer timer.Stop()

	ctx, cancel := context.WithTimeoutCause(ctx, fetchTimeout, errTimeout)
	defer cancel()
	n, err := l.fetchFirst(ctx, s.key)
	if answered(err) {
		l.mu.Lock()
		l.heard = time.Now()
		l.mu.Unlock()
	}
	return n, err
}

// awaitPlace waits for a place among the first fetches. It fails if servers have
// answered none of them for Timeouts.Snapshot.
func (l *loader) awaitPlace(ctx context.Context, key conf.Key) error {
	begun, grace := time.Now(), l.calls.timeouts.Snapshot
	for {
		left := grace - l.silence(begun)
		if left <= 0 {
			return &conf.Error{Op: "fetch", Key: key, Err: conf.ErrUnavailable, Detail: "servers do not answer"}
		}
		silent := time.NewTimer(left)
		select {
		case l.places <- struct{}{}:
			silent.Stop()
			if l.silence(begun) < grace {
				return nil
			}
			<-l.places // the fetch that gave it back was not answered in time
		case <-silent.C:
		case <-ctx.Done():
			silent.Stop()
			return callError(ctx, "fetch", key, nil)
		}
	}
}

// silence returns the time since a server last answered a first fetch, or since
// begun if that is later.
func (l *loader) silence(begun time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.heard.After(begun) {
		return time.Since(l.heard)
	}
	return time.Since(begun)
}

// fetchFirst fetches a key of which nothing is known. From a server that is behind
// it takes a value, which is better than none, but not an absence, which proves
// nothing.
func (l *loader) fetchFirst(ctx context.Context, key conf.Key) (update, error) {
	n, err := l.calls.fetch(ctx, key, l.calls.newestSeen())
	if errors.Is(err, conf.ErrBehind) {
		if older, again := l.calls.fetch(ctx, key, conf.Position{}); again == nil && older.found {
			return older, nil
		}
	}
	return n, err
}

// finish applies the result of a first fetch.
func (l *loader) finish(s *slot, n update, err error) {
	l.slots.mu.Lock()
	defer l.slots.mu.Unlock()
	if err == nil && !l.slots.learn(s, n, l.calls.newestSeen()) {
		err = &conf.Error{Op: "fetch", Key: s.key, Err: conf.ErrBehind, Remote: true, Detail: "the answer is older than what is known"}
	}
	s.loading, s.loadErr = false, err
	switch {
	case s.alone:
	case !isPermanent(err):
		l.slots.join(s)
	case len(s.listeners) == 0 && s.value == nil && s.override == nil:
		l.slots.drop(s) // which leaves the polled keys, if an earlier fetch has joined it
		l.slots.byKey.Delete(s.key)
	default:
		l.refuse(s, err)
	}
	if err != nil {
		l.slots.settle(s, l.calls.newestSeen())
		s.retryAt = time.Now().Add(s.pause.Next(retryAfterOf(err)))
	}
	l.slots.show(s)
}

// awaitShown waits until something is known of s. It repeats the first fetch while
// that fails.
func (l *loader) awaitShown(ctx context.Context, s *slot) (conf.Config, error) {
	ctx, end := l.patience(ctx, s)
	defer end()
	var last error // of the last attempt that has ended; the one under way has none yet
	for {
		l.slots.mu.Lock()
		s.used.Store(true)
		st, failed, changed := s.shown.Load(), s.loadErr, s.next()
		var retry <-chan time.Time
		if st == nil && !s.loading && !s.dropped {
			if wait := time.Until(s.retryAt); wait > 0 {
				retry = time.After(wait)
			} else {
				l.start(s)
				failed = nil
			}
		}
		l.slots.mu.Unlock()

		if failed != nil {
			last = failed
		}
		switch {
		case st != nil:
			return st.read(&l.slots.confirmedAsOf)
		case isFinal(failed):
			return conf.Config{}, failed
		}
		select {
		case <-changed:
		case <-retry:
		case <-ctx.Done():
			return conf.Config{}, gaveUp(ctx, last)
		}
	}
}

// patience returns a context that bounds how long a caller waits for s. Without a
// deadline in ctx it ends Timeouts.First after servers are asked for s. With a
// deadline, a snapshot is used after four fifths of the time: it serves the caller
// better than an error, and whatever follows from it has the rest of the time.
func (l *loader) patience(ctx context.Context, s *slot) (_ context.Context, stop func()) {
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end)
		early := time.AfterFunc(left-left/5, func() { // not left*4/5, which can overflow
			l.slots.mu.Lock()
			defer l.slots.mu.Unlock()
			if s.value != nil && !s.settled {
				l.slots.settle(s, l.calls.newestSeen())
				l.slots.show(s)
			}
		})
		return ctx, func() { early.Stop() }
	}
	ctx, cancel := context.WithCancelCause(ctx)
	begun, first := time.Now(), l.calls.timeouts.First
	l.slots.mu.Lock()
	defer l.slots.mu.Unlock()
	var timer *time.Timer // guarded by the slots' mu
	timer = time.AfterFunc(first, func() {
		l.slots.mu.Lock()
		defer l.slots.mu.Unlock()
		left := first
		if !s.turn.IsZero() {
			left -= min(time.Since(begun), time.Since(s.turn))
		}
		if left > 0 && ctx.Err() == nil {
			timer.Reset(left)
		} else {
			cancel(errTimeout)
		}
	})
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}
