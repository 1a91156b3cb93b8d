package diamond

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Get implements [Client].
func (c *client) Get(ctx context.Context, key Key) (config Config, err error) {
	if s, ok := c.slots.Load(key.Canonical()); ok && !c.closed.Load() {
		if st := s.shown.Load(); st != nil {
			if !s.used.Load() { // most are, and many readers must not write to what they share
				s.used.Store(true)
			}
			config = st.config
			config.Confirmed = st.confirmed(&c.marked)
			return config, st.err
		}
	}
	config, err = c.firstGet(ctx, key.Canonical())
	return config, opError("get", key, err)
}

// firstGet waits until something is known of key. All who wait for a key share
// one fetch; while it fails they have it tried again, as long as ctx lets them.
func (c *client) firstGet(ctx context.Context, key Key) (Config, error) {
	ctx, end, err := c.begin(ctx, getTimeout)
	if err != nil {
		return Config{}, err
	}
	defer end()
	if err := key.Validate(); err != nil {
		return Config{}, err
	}
	c.mu.Lock()
	s, err := c.slotOf(key)
	c.mu.Unlock()
	if err != nil {
		return Config{}, err
	}
	return c.awaitShown(ctx, s)
}

// awaitShown waits until something is known of s, and has it looked for.
func (c *client) awaitShown(ctx context.Context, s *keySlot) (Config, error) {
	for {
		c.mu.Lock()
		s.used.Store(true)
		st, failed, changed := s.shown.Load(), s.loadErr, s.next()
		var retry <-chan time.Time
		if st == nil && !s.loading && !s.dropped {
			if wait := time.Until(s.retryAt); wait > 0 {
				retry = time.After(wait)
			} else {
				c.startLoad(s)
				failed = nil
			}
		}
		c.mu.Unlock()

		switch {
		case st != nil:
			return st.read(&c.marked)
		case final(failed):
			return Config{}, failed
		}
		select {
		case <-changed:
		case <-retry:
		case <-ctx.Done():
			return Config{}, c.gaveUp(ctx, failed)
		}
	}
}

// gaveUp says why nothing is known of a key when ctx has ended: the error of
// the last attempt, and that of ctx where it is the caller's.
func (c *client) gaveUp(ctx context.Context, failed error) error {
	err := callError(ctx, "", Key{}, nil)
	switch own := context.Cause(ctx); {
	case errors.Is(own, errTimeout) && failed != nil:
		return failed
	case errors.Is(own, context.DeadlineExceeded) && failed != nil:
		return fmt.Errorf("%w: %w", failed, own)
	case errors.Is(own, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrUnavailable, own)
	}
	return err
}

// final reports whether asking again will not help.
func final(err error) bool {
	return errors.Is(err, ErrInvalid) || errors.Is(err, ErrDenied) || errors.Is(err, ErrTooLarge)
}

// retryAfterOf returns how long the server that said err wants to be left alone.
func retryAfterOf(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// slotOf returns the slot of a canonical key, and makes it when there is none.
// mu must be held.
func (c *client) slotOf(key Key) (*keySlot, error) {
	if c.closed.Load() {
		return nil, ErrClosed
	}
	if s, ok := c.slots.Load(key); ok {
		return s, nil
	}
	if c.slots.Len() >= MaxPollKeys {
		return nil, Errorf(ErrTooLarge, "a client follows at most %d keys; it lets go of one that was not used for %s, and Peek follows none",
			MaxPollKeys, keepUnused)
	}
	s := newSlot(key)
	c.slots.Store(key, s)
	return s, nil
}

// startLoad has the first fetch of s made, unless it is under way. mu must be held.
func (c *client) startLoad(s *keySlot) {
	if !s.loading {
		s.loading, s.loadErr = true, nil
		c.loads.Put(s, struct{}{})
	}
}

// runLoads starts the first fetches, each key on its own so that none waits
// for another; the transport sees a bounded number at a time.
func (c *client) runLoads(ctx context.Context) {
	for c.loads.Wait(ctx) == nil {
		for s := range c.loads.Take() {
			c.background.Go(func() { c.load(ctx, s) })
		}
	}
}

// load looks for the value of a key in the order override, server, snapshot.
// Whatever comes of it, the key is polled for from then on, unless a server
// has refused it for good.
func (c *client) load(ctx context.Context, s *keySlot) {
	c.lookForOverride(s)
	c.loadSnapshot(s)
	late := time.AfterFunc(snapshotGrace, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.settle(s)
		c.show(s)
	})
	defer late.Stop()

	ctx, cancel := context.WithTimeoutCause(ctx, fetchTimeout, errTimeout)
	defer cancel()
	var n news
	var err error
	select {
	case c.loading <- struct{}{}:
		n, err = c.fetchFirst(ctx, s.key)
		<-c.loading
	case <-ctx.Done():
		err = callError(ctx, "fetch", s.key, nil)
	}
	c.finishLoad(s, n, err)
}

// fetchFirst fetches a key of which nothing is known. A value from a server
// that is behind is better than none; an absence there proves nothing.
func (c *client) fetchFirst(ctx context.Context, key Key) (news, error) {
	n, err := c.fetch(ctx, key, c.newest())
	if errors.Is(err, ErrBehind) {
		if older, again := c.fetch(ctx, key, Position{}); again == nil && older.found {
			return older, nil
		}
	}
	return n, err
}

func (c *client) finishLoad(s *keySlot, n news, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && !c.learn(s, n) {
		err = &Error{Op: "fetch", Key: s.key, Err: ErrBehind, Remote: true, Detail: "the answer is older than what is known"}
	}
	s.loading, s.loadErr = false, err
	switch {
	case s.alone:
	case !final(err):
		c.join(s)
	case len(s.listeners) == 0 && s.value == nil && s.override == nil:
		c.slots.Delete(s.key) // nothing to follow
		s.dropped = true
	default:
		c.refuse(s, err)
	}
	if err != nil {
		c.settle(s)
		s.retryAt = time.Now().Add(s.pause.Next(retryAfterOf(err)))
	}
	c.show(s)
}

// settle has a snapshot used, since no server has answered in time, unless it
// is of another store than the servers are. mu must be held.
func (c *client) settle(s *keySlot) {
	if v := s.value; v != nil && !s.settled && !c.seen.IsZero() && v.at.Store != c.seen.Store {
		c.log.Warn("snapshot of another store ignored", "key", s.key)
		s.value = nil
	}
	s.settled = true
}

// newest returns the newest position that any server has answered with.
func (c *client) newest() Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen
}

// learn takes in an answer of a server about s; see [keySlot.learn]. It does not
// show it yet. mu must be held.
func (c *client) learn(s *keySlot, n news) bool {
	if s.synced && s.announced == nil && s.value != nil && s.value.at.Compare(c.poll.position) < 0 {
		s.value.at = c.poll.position // what is synced is known up to there
	}
	if s.value == nil && !n.found && n.at.Compare(c.seen) < 0 {
		return false // it may have been published since
	}
	if !s.learn(n) {
		return false
	}
	if a := s.announced; a != nil && (!n.found || n.entry.View >= a.View) {
		c.forget(s)
	}
	c.allow(s)
	c.saveFetched(s)
	return true
}

// forget takes back that a content is known of and not here. mu must be held.
func (c *client) forget(s *keySlot) {
	s.announced = nil
	c.missing.Drop(s)
}

// show makes what has been learned of s visible. mu must be held, until all of
// an answer is: listeners begin by taking it.
func (c *client) show(s *keySlot) {
	s.show()
	c.notify(s)
}
