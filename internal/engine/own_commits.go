package engine

import (
	"sync"

	"github.com/linnaname/gdiamond/conf"
)

// maxOwnBytes is the maximum number of bytes of changes that wait for the feed. If there
// are more, they are dropped and the feed reads them from the storage.
const maxOwnBytes = 16 << 20

// ownCommits holds the changes of the server's own transactions, in order, until the
// feed takes them. The feed applies them without reading them back: the chain proves
// that they follow the served position.
type ownCommits struct {
	mu      sync.Mutex
	batches []conf.Batch // guarded by mu
	bytes   int64        // of batches; guarded by mu
}

// add keeps what a transaction committed, if the storage returned the changes.
func (o *ownCommits) add(results []conf.Result) {
	var batch conf.Batch
	n := 0
	for i := range results {
		n += len(results[i].Changes)
	}
	batch.Changes = make([]conf.Change, 0, n)
	for i := range results {
		r := &results[i]
		switch {
		case r.Err != nil || r.Replayed:
		case len(r.Changes) == 0: // the storage did not return them: the feed has to read them
			return
		default:
			batch.Changes = append(batch.Changes, r.Changes...)
			batch.Position = r.Position
		}
	}
	if len(batch.Changes) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bytes += bytesOf(batch.Changes); o.bytes > maxOwnBytes {
		o.batches, o.bytes = nil, 0
		return
	}
	o.batches = append(o.batches, batch)
}

// take returns the changes of all transactions since the last take.
func (o *ownCommits) take() []conf.Batch {
	o.mu.Lock()
	defer o.mu.Unlock()
	batches := o.batches
	o.batches, o.bytes = nil, 0
	return batches
}
