package diamond

import (
	"context"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

// letGoEvery is how often a client looks for keys that nobody has used for keepUnused.
const letGoEvery = time.Minute

// runLetGo lets go of keys that nobody uses any more: else a program that reads
// ever new keys would poll for all of them until it cannot follow another one.
func (c *client) runLetGo(ctx context.Context) {
	for backoff.Sleep(ctx, letGoEvery) == nil {
		c.letGo(time.Now())
	}
}

// letGo lets go of the keys that have not been used for long. While no server
// can be asked it does not, as what is in memory may be all that can be had.
func (c *client) letGo(now time.Time) {
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	if c.poll.err != nil {
		return
	}
	c.slots.byKey.DeleteFunc(func(_ Key, s *keySlot) bool {
		if s.used.Swap(false) || len(s.listeners) > 0 || s.loading {
			s.lastUsed = now
		}
		if now.Sub(s.lastUsed) < keepUnused {
			return false
		}
		c.slots.drop(s)
		return true
	})
}

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
