package diamond

import "context"

// Together implements [Client]. What an answer to a poll says is taken in whole
// under mu, so keys that are all known up to the position of the last one make
// a state that the store once had.
func (c *client) Together(ctx context.Context, keys ...Key) (configs map[Key]Config, at Position, err error) {
	ctx, end, err := c.calls.begin(ctx, getTimeout)
	if err != nil {
		return nil, Position{}, opError("together", Key{}, err)
	}
	defer end()
	slots := make([]*keySlot, len(keys))
	for i, key := range keys {
		key = key.Canonical()
		if err := key.Validate(); err != nil {
			return nil, Position{}, opError("together", key, err)
		}
		c.mu.Lock()
		slots[i], err = c.slotOf(key)
		c.mu.Unlock()
		if err != nil {
			return nil, Position{}, opError("together", key, err)
		}
		if _, err := c.awaitShown(ctx, slots[i]); err != nil && slots[i].shown.Load() == nil {
			return nil, Position{}, opError("together", key, err)
		}
	}
	for {
		c.mu.Lock()
		behind := firstBehind(slots)
		if behind == nil {
			configs, at = c.read(slots)
			c.mu.Unlock()
			return configs, at, nil
		}
		for _, s := range slots {
			c.await(s)
		}
		changed, failed := behind.next(), behind.loadErr
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, Position{}, opError("together", behind.key, gaveUp(ctx, failed))
		}
	}
}

// firstBehind returns one of slots that is not known just up to the position of
// the last poll; nil: all are. One that servers refuse is as it was known last.
// The client's mu must be held.
func firstBehind(slots []*keySlot) *keySlot {
	for _, s := range slots {
		s.used.Store(true)
		if s.shown.Load() == nil || s.refused == nil && (!s.synced || s.announced != nil) {
			return s
		}
	}
	return nil
}

// read returns what there is of slots. mu must be held.
func (c *client) read(slots []*keySlot) (map[Key]Config, Position) {
	configs := make(map[Key]Config, len(slots))
	for _, s := range slots {
		if st := s.shown.Load(); st != nil && st.err == nil {
			configs[s.key], _ = st.read(&c.confirmedAsOf)
		}
	}
	return configs, c.poll.position
}
