package engine

import (
	"cmp"
	"slices"
	"sync"

	"github.com/linnaname/gdiamond/conf"
)

// maxTrail is the maximum number of revisions in a trail.
const maxTrail = 1 << 14

// trail holds the chains of the latest revisions. They distinguish a position of this history
// from one of a history that was lost, and show how much was lost.
type trail struct {
	mu    sync.Mutex
	base  conf.Position // at which it began; guarded by mu
	marks []mark        // oldest first; guarded by mu
}

type mark struct {
	revision int64
	chain    conf.Chain
}

// restart forgets all marks and begins at p.
func (t *trail) restart(p conf.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.base = p
	t.marks = []mark{{p.Revision, p.Chain}}
}

// add records the sets that follow.
func (t *trail) add(sets []step) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range sets {
		t.marks = append(t.marks, mark{sets[i].to.Revision, sets[i].to.Chain})
	}
	if len(t.marks) > maxTrail {
		t.marks = slices.Clone(t.marks[len(t.marks)-maxTrail/2:])
	}
}

// contradicts reports whether p, of the present epoch, is known not to be a
// position of this history.
func (t *trail) contradicts(p conf.Position) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, found := slices.BinarySearchFunc(t.marks, p.Revision, func(m mark, r int64) int { return cmp.Compare(m.revision, r) })
	return found && t.marks[i].chain != p.Chain
}

// before returns the position before a revision, and the chain after that revision, both of
// the epoch of p. Ok is false if the trail does not have them.
func (t *trail) before(p conf.Position, revision int64) (from conf.Position, chain conf.Chain, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, found := slices.BinarySearchFunc(t.marks, revision, func(m mark, r int64) int { return cmp.Compare(m.revision, r) })
	if !found || i == 0 || t.marks[i-1].revision != revision-1 {
		return conf.Position{}, conf.Chain{}, false
	}
	from = p
	from.Revision, from.Chain = t.marks[i-1].revision, t.marks[i-1].chain
	return from, t.marks[i].chain, true
}

// at returns the position at a revision, of the epoch of the trail. Ok is false if the trail
// does not have it.
func (t *trail) at(revision int64) (p conf.Position, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, found := slices.BinarySearchFunc(t.marks, revision, func(m mark, r int64) int { return cmp.Compare(m.revision, r) })
	if !found {
		return conf.Position{}, false
	}
	p = t.base
	p.Revision, p.Chain = t.marks[i].revision, t.marks[i].chain
	return p, true
}

// all returns the marks. The caller must not change them.
func (t *trail) all() []mark {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.marks
}
