package diamond

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/linnaname/gdiamond/internal/backoff"
)

// fetchTogether is how many contents that one poll named are fetched at a time.
const fetchTogether = 8

// fetch asks for the present state of a key, and refuses an answer that is not
// what was asked for.
func (c *client) fetch(ctx context.Context, key Key, after Position) (news, error) {
	resp, err := c.transport.Fetch(ctx, &FetchRequest{Client: c.info, Key: key, After: after})
	if err != nil {
		return news{}, callError(ctx, "fetch", key, err)
	}
	n := news{found: resp.Found, at: resp.Position, asOf: time.Now().Add(-resp.Stale)}
	if resp.Found {
		if !genuine(&resp.Entry, key) {
			return news{}, &Error{Op: "fetch", Key: key, Err: ErrUnavailable, Detail: "the answer is not what was asked for, or damaged"}
		}
		n.entry = viewOf(resp.Entry)
	}
	if err := c.observe(resp.Position); err != nil {
		return news{}, opError("fetch", key, err)
	}
	if resp.Position.Compare(after) < 0 {
		return news{}, &Error{Op: "fetch", Key: key, Err: ErrBehind, Remote: true}
	}
	return n, nil
}

// genuine reports whether e is key's and its content whole.
func genuine(e *Entry, key Key) bool {
	return e.Key.Canonical() == key && e.Revision > 0 &&
		e.Size == int64(len(e.Content)) && e.MD5 == MD5Hex(e.Content)
}

// observe takes note of the position of an answer. It refuses another store,
// and announces a new epoch.
func (c *client) observe(p Position) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case p.Store == StoreID{}:
		return Errorf(ErrUnavailable, "the answer has no position")
	case c.seen.IsZero():
		c.seen = p
		return nil
	case p.Store != c.seen.Store:
		return Errorf(ErrOtherStore, "it is %s, and this client belongs to %s", p.Store, c.seen.Store)
	}
	if p.Epoch.Generation > c.seen.Epoch.Generation {
		c.log.Warn("new epoch: the store has lost history; keys that it lost keep their last value",
			"generation", p.Epoch.Generation, "before", c.seen.Epoch.Generation)
	}
	if p.Compare(c.seen) > 0 {
		c.seen = p
	}
	return nil
}

// fetchAll fetches several slots in parallel, each at least as of after, and
// returns those that could be.
func (c *client) fetchAll(ctx context.Context, slots []*keySlot, after Position) (fetched map[*keySlot]news, failed error) {
	ctx, cancel := context.WithTimeoutCause(ctx, fetchTimeout, errTimeout)
	defer cancel()
	results := make([]news, len(slots))
	errs := make([]error, len(slots))
	var group errgroup.Group
	group.SetLimit(fetchTogether)
	for i, s := range slots {
		group.Go(func() error {
			results[i], errs[i] = c.fetch(ctx, s.key, after)
			return nil
		})
	}
	_ = group.Wait()
	fetched = make(map[*keySlot]news, len(slots))
	for i, s := range slots {
		if errs[i] == nil {
			fetched[s] = results[i]
		} else {
			failed = errs[i]
		}
	}
	return fetched, failed
}

// runMissing fetches the contents that a poll named and that could not be
// fetched then, until they are here or are superseded.
func (c *client) runMissing(ctx context.Context) {
	var pause backoff.Backoff
	for c.missing.Wait(ctx) == nil {
		wanted := c.missing.Take()
		slots := make([]*keySlot, 0, len(wanted))
		for s := range wanted {
			slots = append(slots, s)
		}
		failed := c.catchUp(ctx, slots)
		c.mu.Lock()
		for _, s := range slots {
			if s.announced == nil {
				delete(wanted, s)
			}
		}
		c.mu.Unlock()
		if len(wanted) == 0 {
			pause.Reset()
			continue
		}
		c.missing.PutBack(wanted)
		pause.Cap = pauseCap(failed)
		if pause.Wait(ctx, retryAfterOf(failed)) != nil {
			return
		}
	}
}

// catchUp fetches the present state of slots, and shows all of it at once.
func (c *client) catchUp(ctx context.Context, slots []*keySlot) (failed error) {
	fetched, failed := c.fetchAll(ctx, slots, c.newest())
	c.mu.Lock()
	defer c.mu.Unlock()
	for s, n := range fetched {
		if c.learn(s, n) && n.at.Compare(c.poll.position) > 0 {
			c.unsync(s) // it is ahead of the others
		}
	}
	for s := range fetched {
		c.show(s)
	}
	if failed != nil {
		c.log.Debug("some contents could not be fetched", "error", failed)
	}
	return failed
}

// followed returns the slots of those of keys that the client knows.
func (c *client) followed(keys []Key) []*keySlot {
	var out []*keySlot
	for _, key := range keys {
		if s, ok := c.slots.Load(key.Canonical()); ok {
			out = append(out, s)
		}
	}
	return out
}
