package diamond

import (
	"context"
)

// Peek implements [Client]. A key that is not followed gets a slot of its own,
// which no poll and no other call knows.
func (c *client) Peek(ctx context.Context, key Key) (Config, error) {
	key = key.Canonical()
	ctx, end, err := c.calls.begin(ctx, 0)
	if err != nil {
		return Config{}, opError("peek", key, err)
	}
	defer end()
	if err := key.Validate(); err != nil {
		return Config{}, opError("peek", key, err)
	}
	if s, ok := c.slots.byKey.Load(key); ok {
		if st := s.shown.Load(); st != nil {
			return st.read(&c.slots.confirmedAsOf)
		}
	}
	s := newSlot(key)
	s.alone = true
	config, err := c.awaitShown(ctx, s)
	return config, opError("peek", key, err)
}
