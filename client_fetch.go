package diamond

import (
	"context"
	"errors"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/linnaname/gdiamond/internal/backoff"
)

const (
	// fetchTogether is how many contents that one poll named are fetched at a time.
	fetchTogether = 8
	// contentTimeout is for how long one may be on its way, once it has shown
	// that it takes long: a large one over a slow line does.
	contentTimeout = time.Minute
)

// fetchAll fetches several slots in parallel, each at least as of after, and
// returns those that could be before ctx ends, and why others could not.
func (c *client) fetchAll(ctx context.Context, slots []*keySlot, after Position) (fetched map[*keySlot]update, failed map[*keySlot]error) {
	results := make([]update, len(slots))
	errs := make([]error, len(slots))
	var group errgroup.Group
	group.SetLimit(fetchTogether)
	for i, s := range slots {
		group.Go(func() error {
			results[i], errs[i] = c.calls.fetch(ctx, s.key, after)
			return nil
		})
	}
	_ = group.Wait()
	fetched, failed = make(map[*keySlot]update, len(slots)), make(map[*keySlot]error)
	for i, s := range slots {
		if errs[i] == nil {
			fetched[s] = results[i]
		} else {
			failed[s] = errs[i]
		}
	}
	return fetched, failed
}

// runMissing fetches the contents that a poll named and that could not be
// fetched then, until they are here or are superseded. Each comes when it
// comes: one that takes long does not hold up the others of its round.
func (c *client) runMissing(ctx context.Context) {
	var pause backoff.Backoff
	timeout := fetchTimeout
	for c.missing.Wait(ctx) == nil {
		wanted := c.missing.Take()
		c.stillMissing(wanted)
		var group errgroup.Group
		group.SetLimit(fetchTogether)
		for s := range wanted {
			group.Go(func() error {
				ctx, cancel := context.WithTimeoutCause(ctx, timeout, errTimeout)
				defer cancel()
				return c.catchUp(ctx, []*keySlot{s})
			})
		}
		failed := group.Wait()
		c.stillMissing(wanted)
		if len(wanted) == 0 {
			pause.Reset()
			timeout = fetchTimeout
			continue
		}
		timeout = min(2*timeout, contentTimeout)
		c.missing.PutBack(wanted)
		pause.Cap = pauseCap(failed)
		if pause.Wait(ctx, retryAfterOf(failed)) != nil {
			return
		}
	}
}

// stillMissing takes those out of wanted whose content is here or superseded.
func (c *client) stillMissing(wanted map[*keySlot]struct{}) {
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	maps.DeleteFunc(wanted, func(s *keySlot, _ struct{}) bool { return s.announced == nil })
}

// catchUp fetches the present state of slots, and shows all of it at once.
func (c *client) catchUp(ctx context.Context, slots []*keySlot) error {
	fetched, failed := c.fetchAll(ctx, slots, c.calls.newestSeen())
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	newest := c.calls.newestSeen()
	for s, n := range fetched {
		if c.slots.learn(s, n, newest) && n.at.Compare(c.slots.position) > 0 {
			c.slots.unsync(s) // it is ahead of the others
		}
	}
	for s := range fetched {
		c.slots.show(s)
	}
	for s, err := range failed {
		if errors.Is(err, ErrDenied) {
			c.refuse(s, err)
			c.slots.show(s)
		}
	}
	if len(failed) > 0 {
		c.log.Debug("some contents could not be fetched", "count", len(failed), "error", anyOf(failed))
	}
	return anyOf(failed)
}

// anyOf returns one of the errors; nil: there are none.
func anyOf(failed map[*keySlot]error) error {
	for _, err := range failed {
		return err
	}
	return nil
}
