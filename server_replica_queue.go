package diamond

import "sync"

const (
	// What waits to be written to the copy at most, and what one write has. A
	// copy that has fallen further behind catches up from the storage.
	copyQueueBytes = 16 << 20
	copyWriteBytes = 4 << 20
	// changeOverhead is about what a change takes in memory beside its content.
	changeOverhead = 512
)

// copyQueue is what is served, and what a copy that follows it closely has yet
// to be told.
type copyQueue struct {
	mu     sync.Mutex
	target Position // what is served; guarded by mu
	steps  []step   // each follows the one before, the last leads to target; guarded by mu
	bytes  int64    // of steps; guarded by mu
}

// step is a batch of changes with the position that it follows.
type step struct {
	from    Position
	changes []Change
	to      Position
}

func (s *step) bytes() int64 { return bytesOf(s.changes) }

// bytesOf returns about how many bytes changes take in memory.
func bytesOf(changes []Change) int64 {
	n := int64(len(changes)) * changeOverhead
	for i := range changes {
		n += int64(len(changes[i].Content))
	}
	return n
}

// add adds the step that leads to what is served now.
func (q *copyQueue) add(next step) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.target = next.to
	if q.bytes += next.bytes(); q.bytes <= copyQueueBytes {
		q.steps = append(q.steps, next)
	} else {
		q.steps, q.bytes = nil, 0 // the storage has it all
	}
}

// restart says that p is served now, whatever was before.
func (q *copyQueue) restart(p Position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.target, q.steps, q.bytes = p, nil, 0
}

// next returns what to write to a copy that is at. There is nothing to do when
// it is done; an empty step says that the queue does not connect to at.
func (q *copyQueue) next(at Position) (next step, done bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if at == q.target || at.Epoch == q.target.Epoch && at.Revision > q.target.Revision {
		q.steps, q.bytes = nil, 0
		return step{}, true
	}
	for len(q.steps) > 0 && q.steps[0].from != at && q.steps[0].to.Compare(at) <= 0 {
		q.bytes -= q.steps[0].bytes()
		q.steps = q.steps[1:]
	}
	if len(q.steps) == 0 || q.steps[0].from != at {
		return step{}, false
	}
	next = step{from: at, to: at}
	bytes := int64(0)
	for i := range q.steps {
		if bytes += q.steps[i].bytes(); i > 0 && bytes > copyWriteBytes {
			break
		}
		next.changes = append(next.changes, q.steps[i].changes...)
		next.to = q.steps[i].to
	}
	return next, false
}
