package engine

import (
	"cmp"
	"iter"
	"slices"
	"sync"

	"github.com/linnaname/gdiamond/conf"
)

const (
	// recentBytes is the maximum number of bytes of the latest changes in memory. Their
	// contents are mostly shared with the cache. The changes must be there until a watch
	// that was answered asks again, and until the replica is written.
	recentBytes = 16 << 20
	// changeOverhead is about the memory in bytes that a change takes besides its content.
	changeOverhead = 512
)

// step is one change set or several, with the positions before and after.
type step struct {
	from    conf.Position
	changes []conf.Change
	to      conf.Position
}

// bytesOf returns about the number of bytes that changes take in memory.
func bytesOf(changes []conf.Change) int64 {
	n := int64(len(changes)) * changeOverhead
	for i := range changes {
		n += int64(len(changes[i].Content))
	}
	return n
}

// recent holds the latest change sets that were served, without a gap. Watches and the
// replica follow them, so that they read the storage only when they are far behind.
// The feed's goroutine writes, all may read.
type recent struct {
	mu    sync.Mutex
	base  conf.Position // before the first of sets; guarded by mu
	sets  []step        // each follows the one before; what is in it never changes; guarded by mu
	bytes int64         // of sets; guarded by mu
}

// restart forgets all sets, because p is served now and does not follow from them.
func (r *recent) restart(p conf.Position) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.base, r.sets, r.bytes = p, nil, 0
}

// add adds sets that are served from now on. If there are too many, the oldest half is
// dropped at once, so that each set is moved only once.
func (r *recent) add(sets []step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range sets {
		r.bytes += bytesOf(sets[i].changes)
	}
	r.sets = append(r.sets, sets...)
	if r.bytes <= recentBytes {
		return
	}
	n := 0
	for ; n < len(r.sets) && r.bytes > recentBytes/2; n++ {
		r.bytes -= bytesOf(r.sets[n].changes)
		r.base = r.sets[n].to
	}
	r.sets = slices.Clone(r.sets[n:])
}

// last returns the position after all sets.
func (r *recent) last() conf.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.sets); n > 0 {
		return r.sets[n-1].to
	}
	return r.base
}

// after returns the sets that follow p. The caller must not change them. Ok is false if p is
// too old, or is not a position of what was served.
func (r *recent) after(p conf.Position) (sets []step, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p == r.base {
		return r.sets, true
	}
	i, found := slices.BinarySearchFunc(r.sets, p.Revision, func(s step, revision int64) int {
		return cmp.Compare(s.to.Revision, revision)
	})
	if !found || r.sets[i].to != p {
		return nil, false
	}
	return r.sets[i+1:], true
}

// at returns the position of what was served at a revision. Ok is false if that is too old or
// is not the end of a set.
func (r *recent) at(revision int64) (p conf.Position, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.base.Revision == revision {
		return r.base, true
	}
	i, found := slices.BinarySearchFunc(r.sets, revision, func(s step, revision int64) int {
		return cmp.Compare(s.to.Revision, revision)
	})
	if !found {
		return conf.Position{}, false
	}
	return r.sets[i].to, true
}

// changesOf yields the changes of keys in sets, without the forks.
func changesOf(sets []step) iter.Seq[*conf.Change] {
	return func(yield func(*conf.Change) bool) {
		for i := range sets {
			for j := range sets[i].changes {
				if c := &sets[i].changes[j]; c.Op != conf.OpFork && !yield(c) {
					return
				}
			}
		}
	}
}
