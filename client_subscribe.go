package diamond

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/linnaname/gdiamond/internal/worker"
)

// togetherFunc is told of several keys; see [Client].SubscribeTogether.
type togetherFunc = func(ctx context.Context, configs map[Key]Config, at Position) error

// jointly is one listener of several keys.
type jointly struct {
	*client
	keys     []*keySlot
	parts    []*subscription // at the slots, in their order
	worker   *worker.Worker
	listener togetherFunc
}

// SubscribeTogether implements [Client].
func (c *client) SubscribeTogether(keys []Key, listener togetherFunc) (*Subscription, error) {
	const op = "subscribe together"
	switch {
	case listener == nil:
		return nil, &Error{Op: op, Err: ErrInvalid, Detail: "listener: is nil"}
	case len(keys) == 0:
		return nil, &Error{Op: op, Err: ErrInvalid, Detail: "keys: there are none"}
	}
	distinct := make(map[Key]bool, len(keys))
	for _, key := range keys {
		key = key.Canonical()
		if err := key.Validate(); err != nil {
			return nil, opError(op, key, err)
		}
		distinct[key] = true
	}
	j := &jointly{client: c, listener: listener}
	j.worker = worker.New(j.tell)
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	for _, key := range slices.SortedFunc(maps.Keys(distinct), Key.Compare) {
		s, err := c.slots.slotOf(key)
		if err != nil {
			return nil, opError(op, key, err)
		}
		j.keys = append(j.keys, s)
		j.parts = append(j.parts, &subscription{slot: s, worker: j.worker})
	}
	for _, l := range j.parts {
		l.slot.listeners = append(l.slot.listeners, l)
		if l.slot.shown.Load() == nil {
			c.startLoad(l.slot)
		}
	}
	j.worker.Wake()
	return &Subscription{
		stop: j.stop,
		wait: func(ctx context.Context) error { return opError("wait", Key{}, j.wait(ctx)) },
	}, nil
}

// tell tells the listener of all keys, where there is something to tell of one
// and all are known as of one position. Where they are not, it asks for that.
func (j *jointly) tell(ctx context.Context) {
	j.slots.mu.Lock()
	if j.dueOne() == nil {
		j.slots.mu.Unlock()
		return
	}
	if firstBehind(j.keys) != nil {
		j.awaitAll()
		j.slots.mu.Unlock()
		return
	}
	configs, at := j.slots.read(j.keys)
	revision := int64(0)
	for _, l := range j.parts {
		l.busy, l.delivered = true, l.slot.shown.Load()
		revision = max(revision, configs[l.slot.key].Revision)
	}
	first := j.parts[0]
	j.running[j.worker] = first.slot.key
	j.slots.mu.Unlock()

	err := errPanic // where the listener ends its goroutine
	defer func() { j.judged(j.parts, err, false) }()
	err = j.call(first, revision, func() error { return j.listener(ctx, configs, at) })
}

// dueOne returns one of the keys of which there is something to tell; nil:
// there is none. mu must be held.
func (j *jointly) dueOne() *keySlot {
	for _, l := range j.parts {
		if l.due() != nil {
			return l.slot
		}
	}
	return nil
}

// awaitAll has the next poll say what there is of all keys. mu must be held.
func (j *jointly) awaitAll() {
	for _, s := range j.keys {
		j.poller.await(s)
	}
}

// stop ends the subscription; see [Subscription.Stop].
func (j *jointly) stop() {
	j.slots.mu.Lock()
	for _, l := range j.parts {
		j.drop(l)
	}
	j.slots.mu.Unlock()
	<-j.worker.Halt()
}

// wait returns what became of the present state; see [Subscription.Wait].
func (j *jointly) wait(ctx context.Context) error {
	ctx, end, err := j.calls.begin(ctx, getTimeout)
	if err != nil {
		return err
	}
	defer end()
	if j.worker.Within() {
		return nil // the listener's own call, whose outcome it is
	}
	for {
		j.slots.mu.Lock()
		first := j.parts[0]
		stopped, outcome := first.stopped, first.err
		behind, due := firstBehind(j.keys), j.dueOne()
		settled := behind == nil && due == nil && !first.busy
		configs, _ := j.slots.read(j.keys)
		if behind != nil {
			j.awaitAll()
		}
		on := cmp.Or(behind, due, first.slot)
		changed, failed := on.next(), on.loadErr
		refused := on.shown.Load() == nil && isPermanent(failed)
		j.slots.mu.Unlock()

		switch {
		case stopped:
			return Errorf(ErrClosed, "the subscription is stopped")
		case settled && len(configs) == 0:
			return Errorf(ErrNotFound, "none of the keys exists")
		case settled:
			return outcome
		case refused:
			return failed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return gaveUp(ctx, failed)
		}
	}
}
