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
		c.slots.mu.Lock()
		slots[i], err = c.slots.slotOf(key)
		c.slots.mu.Unlock()
		if err != nil {
			return nil, Position{}, opError("together", key, err)
		}
		if _, err := c.awaitShown(ctx, slots[i]); err != nil && slots[i].shown.Load() == nil {
			return nil, Position{}, opError("together", key, err)
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
			return nil, Position{}, opError("together", behind.key, gaveUp(ctx, failed))
		}
	}
}
