package follower

import (
	"cmp"
	"context"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/worker"
)

// jointSubscription is the subscription of one listener to several keys.
type jointSubscription struct {
	notifier *notifier
	slots    *slots
	await    func(*slot) // see [poller.await]

	keys     []*slot
	parts    []*subscription // one for each of keys, in the same order
	worker   *worker.Worker
	listener TogetherListener
}

// deliver calls the listener with all keys if something is due for one of them and all are
// known as of one position. If they are not, it makes the next poll bring them there.
func (j *jointSubscription) deliver(ctx context.Context) {
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
	j.notifier.running[j.worker] = first.slot.key
	j.slots.mu.Unlock()

	err := ErrPanic // in case the listener ends its goroutine
	defer func() { j.notifier.finish(j.parts, err, false) }()
	err = j.notifier.call(first, revision, func() error { return j.listener(ctx, configs, at) })
}

// dueOne returns a key for which something is due, or nil if there is none. The
// slots' mu must be held.
func (j *jointSubscription) dueOne() *slot {
	for _, l := range j.parts {
		if l.due() != nil {
			return l.slot
		}
	}
	return nil
}

// awaitAll makes the next poll bring all keys to one position. The slots' mu must be held.
func (j *jointSubscription) awaitAll() {
	for _, s := range j.keys {
		j.await(s)
	}
}

// stop ends the subscription; see [Subscription.Stop].
func (j *jointSubscription) stop() {
	j.slots.mu.Lock()
	for _, l := range j.parts {
		j.notifier.drop(l)
	}
	j.slots.mu.Unlock()
	<-j.worker.Halt()
}

// wait returns the outcome of the present state; see [Subscription.Wait].
func (j *jointSubscription) wait(ctx context.Context) error {
	ctx, end, err := j.notifier.calls.begin(ctx, j.notifier.calls.timeouts.First)
	if err != nil {
		return err
	}
	defer end()
	if j.worker.Within() {
		return nil // this call of the listener decides the outcome
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
		refused := on.shown.Load() == nil && isFinal(failed)
		j.slots.mu.Unlock()

		switch {
		case stopped:
			return conf.Errorf(conf.ErrClosed, "the subscription is stopped")
		case settled && len(configs) == 0:
			return conf.Errorf(conf.ErrNotFound, "none of the keys exists")
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
