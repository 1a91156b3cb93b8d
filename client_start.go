package diamond

import (
	"context"
	"errors"
	"sync"
	"time"
)

// firstFetches is how many first fetches a client makes at a time.
const firstFetches = 32

// startLoad has the first fetch of s made, unless it is under way. mu must be held.
func (c *client) startLoad(s *keySlot) {
	if !s.loading {
		s.loading, s.late, s.loadErr = true, false, nil
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
// Files and servers are asked side by side; what they say is taken in when the
// files have been read or hang, and the servers have answered or had their time.
// Whatever comes of it, the key is polled for from then on, unless a server has
// refused it for good.
func (c *client) load(ctx context.Context, s *keySlot) {
	read := make(chan struct{})
	c.background.Go(func() {
		defer close(read)
		var both sync.WaitGroup
		both.Go(func() { c.disk.lookForOverride(s) })
		both.Go(func() { c.disk.loadSnapshot(s) })
		both.Wait()
	})
	n, err := c.ask(ctx, s, func() {
		<-read
		c.slots.mu.Lock()
		defer c.slots.mu.Unlock()
		c.slots.settle(s, c.calls.newestSeen())
		c.slots.show(s)
	})
	<-read
	c.finishLoad(s, n, err)
}

// ask asks servers for s once there is a place for that. late is called when
// they have not answered in time. That counts from when they were asked: a key
// that waits for its place behind others is not late while those are answered.
func (c *client) ask(ctx context.Context, s *keySlot, late func()) (update, error) {
	err := c.awaitPlace(ctx, s.key)
	c.slots.mu.Lock()
	if s.turn.IsZero() {
		s.turn = time.Now()
	}
	c.slots.mu.Unlock()
	if err != nil {
		return update{}, err
	}
	giveBack := sync.OnceFunc(func() { <-c.loading })
	defer giveBack()
	timer := time.AfterFunc(snapshotGrace, func() {
		giveBack() // servers that do not answer this one may answer others
		late()
	})
	defer timer.Stop()

	ctx, cancel := context.WithTimeoutCause(ctx, fetchTimeout, errTimeout)
	defer cancel()
	n, err := c.fetchFirst(ctx, s.key)
	if answered(err) {
		c.slots.mu.Lock()
		c.heard = time.Now()
		c.slots.mu.Unlock()
	}
	return n, err
}

// awaitPlace waits for a place among the first fetches. It fails when servers
// have answered none of them for as long as they have for one.
func (c *client) awaitPlace(ctx context.Context, key Key) error {
	begun := time.Now()
	for {
		left := snapshotGrace - c.silence(begun)
		if left <= 0 {
			return &Error{Op: "fetch", Key: key, Err: ErrUnavailable, Detail: "servers do not answer"}
		}
		silent := time.NewTimer(left)
		select {
		case c.loading <- struct{}{}:
			silent.Stop()
			if c.silence(begun) < snapshotGrace {
				return nil
			}
			<-c.loading // it was given back by one that has not been answered in time
		case <-silent.C:
		case <-ctx.Done():
			silent.Stop()
			return callError(ctx, "fetch", key, nil)
		}
	}
}

// silence returns how long no server has answered a first fetch, at most since begun.
func (c *client) silence(begun time.Time) time.Duration {
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	if c.heard.After(begun) {
		return time.Since(c.heard)
	}
	return time.Since(begun)
}

// fetchFirst fetches a key of which nothing is known. A value from a server
// that is behind is better than none; an absence there proves nothing.
func (c *client) fetchFirst(ctx context.Context, key Key) (update, error) {
	n, err := c.calls.fetch(ctx, key, c.calls.newestSeen())
	if errors.Is(err, ErrBehind) {
		if older, again := c.calls.fetch(ctx, key, Position{}); again == nil && older.found {
			return older, nil
		}
	}
	return n, err
}

func (c *client) finishLoad(s *keySlot, n update, err error) {
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	if err == nil && !c.slots.learn(s, n, c.calls.newestSeen()) {
		err = &Error{Op: "fetch", Key: s.key, Err: ErrBehind, Remote: true, Detail: "the answer is older than what is known"}
	}
	s.loading, s.loadErr = false, err
	switch {
	case s.alone:
	case !isPermanent(err):
		c.slots.join(s)
	case len(s.listeners) == 0 && s.value == nil && s.override == nil:
		c.slots.drop(s) // an earlier fetch may have had it joined
		c.slots.byKey.Delete(s.key)
	default:
		c.refused.refuse(s, err)
	}
	if err != nil {
		c.slots.settle(s, c.calls.newestSeen())
		s.retryAt = time.Now().Add(s.pause.Next(retryAfterOf(err)))
	}
	c.slots.show(s)
}

// patience bounds how long a caller waits for s. Where ctx has no deadline that is
// for getTimeout, once servers are asked for s. Where it has one, a snapshot is
// used shortly before: who waits no longer is served better by it than by an
// error. What that sets off has the rest of the time.
func (c *client) patience(ctx context.Context, s *keySlot) (_ context.Context, stop func()) {
	if end, ok := ctx.Deadline(); ok {
		early := time.AfterFunc(time.Until(end)*4/5, func() {
			c.slots.mu.Lock()
			defer c.slots.mu.Unlock()
			if s.value != nil && !s.settled {
				c.slots.settle(s, c.calls.newestSeen())
				c.slots.show(s)
			}
		})
		return ctx, func() { early.Stop() }
	}
	ctx, cancel := context.WithCancelCause(ctx)
	begun := time.Now()
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	var timer *time.Timer // guarded by mu
	timer = time.AfterFunc(getTimeout, func() {
		c.slots.mu.Lock()
		defer c.slots.mu.Unlock()
		left := getTimeout
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
