package diamond

import (
	"context"
	"time"
)

// Get implements [Client].
func (c *client) Get(ctx context.Context, key Key) (config Config, err error) {
	if s, ok := c.slots.byKey.Load(key.Canonical()); ok && !c.slots.closed.Load() {
		if st := s.shown.Load(); st != nil {
			if !s.used.Load() { // most are, and many readers must not write to what they share
				s.used.Store(true)
			}
			config = st.config
			config.Confirmed = st.confirmed(&c.slots.confirmedAsOf)
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
	c.slots.mu.Lock()
	s, err := c.slots.slotOf(key)
	c.slots.mu.Unlock()
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
		c.slots.mu.Lock()
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
		c.slots.mu.Unlock()

		switch {
		case st != nil:
			return st.read(&c.slots.confirmedAsOf)
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
