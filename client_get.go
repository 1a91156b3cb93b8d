package diamond

import (
	"context"
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
			config.Confirmed = st.confirmed(&c.confirmedAsOf)
			return config, st.err
		}
	}
	config, err = c.firstGet(ctx, key.Canonical())
	return config, opError("get", key, err)
}

// firstGet waits until something is known of key. All who wait for a key share
// one fetch; while it fails they have it tried again, as long as ctx lets them.
func (c *client) firstGet(ctx context.Context, key Key) (Config, error) {
	ctx, end, err := c.calls.begin(ctx, 0)
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
	ctx, end := c.patience(ctx, s)
	defer end()
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
			return st.read(&c.confirmedAsOf)
		case isPermanent(failed):
			return Config{}, failed
		}
		select {
		case <-changed:
		case <-retry:
		case <-ctx.Done():
			return Config{}, gaveUp(ctx, failed)
		}
	}
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

// learn takes in an answer of a server about s; see [keySlot.learn]. It does not
// show it yet. mu must be held.
func (c *client) learn(s *keySlot, n update) bool {
	if s.synced && s.announced == nil && s.value != nil && s.value.at.Compare(c.poll.position) < 0 {
		s.value.at = c.poll.position // what is synced is known up to there
	}
	if s.value == nil && !n.found && n.at.Compare(c.calls.newestSeen()) < 0 {
		return false // it may have been published since
	}
	if !s.learn(n) {
		return false
	}
	if a := s.announced; a != nil && (!n.found || n.entry.View >= a.View || n.at.Epoch.Generation > s.announcedIn) {
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
