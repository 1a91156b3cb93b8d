// Package groupcommit gathers what many callers want committed into batches, so that
// one transaction serves all who came while the last one ran.
package groupcommit

import (
	"slices"
	"sync"
	"time"
)

// Queue holds items between those who add them and the one goroutine that commits
// them in batches:
//
//   - A caller calls [Queue.Add], waits for [Item.Done], and calls [Queue.Leave] once.
//     Before the item is taken up it may call [Queue.Remove] instead of waiting.
//   - The committer calls [Queue.Next] for a batch, commits it, calls [Queue.End], and
//     then [Item.Finish] for each item. It may call Next again before it has finished
//     the items.
//
// T is what is committed and R its result. Make a Queue with [New]. It is safe for
// concurrent use.
type Queue[T, R any] struct {
	limits  Limits
	errs    Errors
	arrived chan struct{} // capacity 1: the queue has grown
	closing chan struct{}

	mu        sync.Mutex
	items     []*Item[T, R] // guarded by mu
	bytes     int64         // of items; guarded by mu
	inflight  int           // items whose callers have not left; guarded by mu
	gathering gathering     // of the next batch; guarded by mu
	closed    bool          // guarded by mu
}

// Limits bound a [Queue].
type Limits struct {
	Inflight   int   // items whose callers have not left
	QueueBytes int64 // of the items that wait; one item alone may have more

	// Of one batch. A batch of one item may have more changes and bytes.
	BatchItems   int
	BatchChanges int
	BatchBytes   int64
}

// Errors make the errors of [Queue.Add].
type Errors struct {
	Closed   func() error
	TooMany  func(inflight int) error // the limit is reached
	TooLarge func(bytes int64) error  // so many wait
}

// Item is something on its way through a [Queue].
type Item[T, R any] struct {
	Value T

	changes int
	bytes   int64
	done    chan struct{}
	result  R // once done is closed
}

// Done is closed when the item is finished.
func (i *Item[T, R]) Done() <-chan struct{} { return i.done }

// Result returns the result of the item, once [Item.Done] is closed.
func (i *Item[T, R]) Result() R { return i.result }

// Finish gives the item its result. It is called once.
func (i *Item[T, R]) Finish(result R) {
	i.result = result
	close(i.done)
}

// New returns an empty queue.
func New[T, R any](limits Limits, errs Errors) *Queue[T, R] {
	return &Queue[T, R]{limits: limits, errs: errs, arrived: make(chan struct{}, 1), closing: make(chan struct{})}
}

// Add puts value into the queue, which has so many changes and bytes. Each Add that
// succeeds is followed by one call of [Queue.Leave].
func (q *Queue[T, R]) Add(value T, changes int, bytes int64) (*Item[T, R], error) {
	i := &Item[T, R]{Value: value, changes: changes, bytes: bytes, done: make(chan struct{})}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return nil, q.errs.Closed()
	case q.inflight >= q.limits.Inflight:
		return nil, q.errs.TooMany(q.limits.Inflight)
	case len(q.items) > 0 && q.bytes+bytes > q.limits.QueueBytes:
		return nil, q.errs.TooLarge(q.bytes)
	}
	q.inflight++
	q.bytes += bytes
	q.items = append(q.items, i)
	select {
	case q.arrived <- struct{}{}:
	default:
	}
	return i, nil
}

// Remove takes i out of the queue, and reports whether it was still in it: then
// nothing was done.
func (q *Queue[T, R]) Remove(i *Item[T, R]) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := slices.Index(q.items, i)
	if at < 0 {
		return false
	}
	q.items = slices.Delete(q.items, at, at+1)
	q.bytes -= i.bytes
	return true
}

// Leave notes that a caller of [Queue.Add] does not wait any more.
func (q *Queue[T, R]) Leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.inflight--
}

// Len returns how many callers wait.
func (q *Queue[T, R]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.inflight
}

func (q *Queue[T, R]) queued() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// Next waits for items and takes a batch of them. It returns nil once the queue is closed.
func (q *Queue[T, R]) Next() []*Item[T, R] {
	for q.grow(1, nil) {
		q.gather()
		if batch := q.take(); len(batch) > 0 { // else their callers have left
			return batch
		}
	}
	return nil
}

// End notes that a batch of n items, which took so long, is about to be answered.
func (q *Queue[T, R]) End(n int, took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gathering.begin(n, q.inflight, q.limits.BatchItems, took)
}

// gather waits for those items that the next batch is likely to have.
func (q *Queue[T, R]) gather() {
	q.mu.Lock()
	n, wait := q.gathering.expected, time.Until(q.gathering.until)
	q.mu.Unlock()
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	if !q.grow(n, timer.C) {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.gathering.late()
	}
}

// grow waits until the queue has n items, and reports whether it has.
func (q *Queue[T, R]) grow(n int, timeout <-chan time.Time) bool {
	for q.queued() < n {
		select {
		case <-q.arrived:
		case <-timeout:
			return false
		case <-q.closing:
			return false
		}
	}
	return true
}

func (q *Queue[T, R]) take() []*Item[T, R] {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, changes, bytes := 0, 0, int64(0)
	for n < min(len(q.items), q.limits.BatchItems) {
		changes += q.items[n].changes
		bytes += q.items[n].bytes
		if n > 0 && (changes > q.limits.BatchChanges || bytes > q.limits.BatchBytes) {
			break
		}
		q.bytes -= q.items[n].bytes
		n++
	}
	batch := slices.Clone(q.items[:n])
	q.items = slices.Delete(q.items, 0, n)
	return batch
}

// Close refuses all later items, and finishes those in the queue with refused.
func (q *Queue[T, R]) Close(refused R) {
	q.mu.Lock()
	items := q.items
	q.items, q.bytes, q.closed = nil, 0, true
	q.mu.Unlock()
	close(q.closing)
	for _, i := range items {
		i.Finish(refused)
	}
}
