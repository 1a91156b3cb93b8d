package diamond

import (
	"slices"
	"sync"
	"time"
)

const (
	// What one transaction holds at most: sets, changes, and bytes of content. One
	// set may have more bytes than that. Other servers wait for its end.
	maxBatchSets    = 256
	maxBatchChanges = 4 * MaxChanges
	maxBatchBytes   = 8 << 20
	// maxQueueBytes is how many bytes of content may wait to be committed.
	maxQueueBytes = 256 << 20
)

// commits is the queue of change sets between publishers and the committer,
// which commits in one transaction what has arrived while the last one ran.
type commits struct {
	limit   int
	arrived chan struct{} // capacity 1: the queue has grown
	closing chan struct{}

	mu        sync.Mutex
	queue     []*commit // guarded by mu
	bytes     int64     // of content in queue; guarded by mu
	inflight  int       // commits being waited for; guarded by mu
	gathering gathering // of the next batch; guarded by mu
	closed    bool      // guarded by mu
}

// commit is one change set on its way.
type commit struct {
	set    *ChangeSet
	bytes  int64
	done   chan struct{}
	result Result // once done is closed
}

func newCommits(limit int) *commits {
	return &commits{limit: limit, arrived: make(chan struct{}, 1), closing: make(chan struct{})}
}

// add puts set into the queue. Each set that was added is to be followed by
// one call of leave.
func (q *commits) add(set *ChangeSet) (*commit, error) {
	c := &commit{set: set, done: make(chan struct{})}
	for i := range set.Drafts {
		c.bytes += int64(len(set.Drafts[i].Content))
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return nil, Errorf(ErrClosed, "the server is closed")
	case q.inflight >= q.limit:
		return nil, overloaded("%d commits are in flight", q.limit)
	case len(q.queue) > 0 && q.bytes+c.bytes > maxQueueBytes:
		return nil, overloaded("%d bytes wait to be committed", q.bytes)
	}
	q.inflight++
	q.bytes += c.bytes
	q.queue = append(q.queue, c)
	select {
	case q.arrived <- struct{}{}:
	default:
	}
	return c, nil
}

// remove takes c out of the queue, and reports whether it was still in it.
func (q *commits) remove(c *commit) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.queue, c)
	if i < 0 {
		return false
	}
	q.queue = slices.Delete(q.queue, i, i+1)
	q.bytes -= c.bytes
	return true
}

func (q *commits) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.inflight--
}

func (q *commits) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.inflight
}

func (q *commits) queued() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.queue)
}

// end says that a batch of n is about to be answered, which took so long.
func (q *commits) end(n int, took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gathering.begin(n, q.inflight, took)
}

// next waits for commits and takes a batch of them, nil once the queue is closed.
func (q *commits) next() []*commit {
	for q.grow(1, nil) {
		q.gather()
		if batch := q.take(); len(batch) > 0 { // else their publishers have left
			return batch
		}
	}
	return nil
}

// gather waits for those that the next batch is likely to have.
func (q *commits) gather() {
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

// grow waits until the queue has n commits, and reports whether it has.
func (q *commits) grow(n int, timeout <-chan time.Time) bool {
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

func (q *commits) take() []*commit {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, changes, bytes := 0, 0, int64(0)
	for n < min(len(q.queue), maxBatchSets) {
		changes += q.queue[n].set.Len()
		bytes += q.queue[n].bytes
		if n > 0 && (changes > maxBatchChanges || bytes > maxBatchBytes) {
			break
		}
		q.bytes -= q.queue[n].bytes
		n++
	}
	batch := slices.Clone(q.queue[:n])
	q.queue = slices.Delete(q.queue, 0, n)
	return batch
}

// close refuses what is in the queue and all that comes after.
func (q *commits) close() {
	q.mu.Lock()
	queue := q.queue
	q.queue, q.bytes, q.closed = nil, 0, true
	q.mu.Unlock()
	close(q.closing)
	for _, c := range queue {
		c.finish(Result{Err: Errorf(ErrClosed, "the server is closed")})
	}
}

func (c *commit) finish(r Result) {
	c.result = r
	close(c.done)
}
