// Package keysets keeps sets of keys that many ask for again and again, so that they
// name a set by its hash instead of sending it.
package keysets

import (
	"container/list"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/internal/budget"
	"github.com/linnaname/gdiamond/internal/waitset"
)

const (
	// idleTime is how long a set is known after its last use.
	idleTime = 5 * time.Minute
	// evictionLook is how many unused sets are looked at for one that gives way.
	evictionLook = 1024
)

// Key is what sets are made of.
type Key[K any] interface {
	comparable
	Compare(K) int
}

// Table has the sets that are known: those in use, and for some minutes those that
// were. Their keys count against a budget, by the source that sent a set first. H is
// the hash of a set, K a key, and A an answer that all who use a set may share. Make a
// Table with [New]. It is safe for concurrent use.
type Table[H comparable, K Key[K], A any] struct {
	waiters *waitset.Set[K]
	total   *budget.Budget // keys of all sets, by source
	full    func(used, held int64) error

	mu     sync.Mutex
	byHash map[H]*Set[H, K, A] // guarded by mu
	unused *list.List          // of sets that are not in use, longest idle first; guarded by mu
}

// Set is a set of keys, known by its hash.
type Set[H comparable, K Key[K], A any] struct {
	Keys   []K               // sorted, each once
	Denied []K               // keys of the set that nobody waits for; sorted, each once
	Group  *waitset.Group[K] // of Keys, to wait on
	Answer atomic.Pointer[A] // the last one made for the set, or nil

	hash   H
	source string // who sent it first, against whom its keys count

	refs  int           // uses under way; guarded by Table.mu
	idle  time.Time     // since when there are none; guarded by Table.mu
	place *list.Element // in Table.unused, while there are none; guarded by Table.mu
}

// New returns a table whose sets have their waiters among waiters. The sets may have
// limit keys together, and perSource those of one source. Full makes the error of a set
// that is too much, given how many keys all sets have and those of its source.
func New[H comparable, K Key[K], A any](
	waiters *waitset.Set[K], limit, perSource int64, full func(used, held int64) error,
) *Table[H, K, A] {
	return &Table[H, K, A]{
		waiters: waiters, total: budget.New(limit, perSource), full: full,
		byHash: make(map[H]*Set[H, K, A]), unused: list.New(),
	}
}

// Hash returns the hash of s.
func (s *Set[H, K, A]) Hash() H { return s.hash }

// size returns how many keys s has, of both kinds.
func (s *Set[H, K, A]) size() int64 { return int64(len(s.Keys) + len(s.Denied)) }

// Denies reports whether key is one of those that nobody waits for.
func (s *Set[H, K, A]) Denies(key K) bool {
	_, denied := slices.BinarySearchFunc(s.Denied, key, K.Compare)
	return denied
}

// Acquire returns the set of that hash, nil where it is not known and neither keys nor
// denied are given. Both together have that hash; denied are sorted, each once; source
// sent them. Each set acquired is released once.
func (t *Table[H, K, A]) Acquire(hash H, keys, denied []K, source string) (*Set[H, K, A], error) {
	if set := t.find(hash); set != nil || len(keys)+len(denied) == 0 {
		return set, nil
	}
	slices.SortFunc(keys, K.Compare)
	keys = slices.Compact(keys)
	return t.add(&Set[H, K, A]{hash: hash, source: source, Keys: keys, Denied: denied, refs: 1})
}

// add makes fresh known, and returns it with its first use; or the same set, where
// another caller was faster.
func (t *Table[H, K, A]) add(fresh *Set[H, K, A]) (*Set[H, K, A], error) {
	if err := t.reserve(fresh.size(), fresh.source); err != nil {
		return nil, err
	}
	fresh.Group = t.waiters.Join(fresh.Keys)

	t.mu.Lock()
	have := t.byHash[fresh.hash]
	if have == nil {
		t.byHash[fresh.hash] = fresh
	} else {
		t.use(have)
		t.total.Give(fresh.source, fresh.size())
	}
	t.mu.Unlock()
	if have == nil {
		return fresh, nil
	}
	fresh.Group.Leave()
	return have, nil
}

func (t *Table[H, K, A]) find(hash H) *Set[H, K, A] {
	t.mu.Lock()
	defer t.mu.Unlock()
	set := t.byHash[hash]
	if set != nil {
		t.use(set)
	}
	return set
}

// use counts one more use of set. The caller holds mu.
func (t *Table[H, K, A]) use(set *Set[H, K, A]) {
	if set.refs == 0 {
		t.unused.Remove(set.place)
	}
	set.refs++
}

// Release takes back an Acquire. A nil set is none.
func (t *Table[H, K, A]) Release(set *Set[H, K, A]) {
	if set == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if set.refs--; set.refs == 0 {
		set.idle = time.Now()
		set.place = t.unused.PushBack(set)
	}
}

// Shared reports whether set is in use more than once.
func (t *Table[H, K, A]) Shared(set *Set[H, K, A]) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return set.refs > 1
}

// Used returns how many keys all sets have.
func (t *Table[H, K, A]) Used() int64 { return t.total.Used() }

// reserve takes room for n keys of source, if need be by forgetting sets that are not
// in use.
func (t *Table[H, K, A]) reserve(n int64, source string) error {
	var forgotten []*Set[H, K, A]
	defer func() { leaveGroups(forgotten) }()
	t.mu.Lock()
	defer t.mu.Unlock()
	for !t.total.Take(source, n) {
		set := t.givesWay(n, source)
		if set == nil {
			return t.full(t.total.Used(), t.total.Held(source))
		}
		t.forget(set)
		forgotten = append(forgotten, set)
	}
	return nil
}

// givesWay returns the set that is forgotten for n more keys of source, the longest
// idle of those that may be: its own, and those of sources that hold no less. So
// nobody makes a small source's sets be sent again by sending ever new ones. The
// caller holds mu.
func (t *Table[H, K, A]) givesWay(n int64, source string) *Set[H, K, A] {
	holds := t.total.Held(source) + n
	e := t.unused.Front()
	for range evictionLook {
		if e == nil {
			return nil
		}
		set := e.Value.(*Set[H, K, A])
		if set.source == source || t.total.Held(set.source) >= holds {
			return set
		}
		e = e.Next()
	}
	return nil
}

// Expire forgets the sets that have not been used for some minutes, and all answers,
// lest they hold memory for ever.
func (t *Table[H, K, A]) Expire() {
	var forgotten []*Set[H, K, A]
	t.mu.Lock()
	for _, set := range t.byHash {
		set.Answer.Store(nil)
	}
	for e := t.unused.Front(); e != nil && time.Since(e.Value.(*Set[H, K, A]).idle) >= idleTime; e = t.unused.Front() {
		set := e.Value.(*Set[H, K, A])
		t.forget(set)
		forgotten = append(forgotten, set)
	}
	t.mu.Unlock()
	leaveGroups(forgotten)
}

// forget takes out a set that is not in use. The caller holds mu.
func (t *Table[H, K, A]) forget(set *Set[H, K, A]) {
	t.unused.Remove(set.place)
	delete(t.byHash, set.hash)
	t.total.Give(set.source, set.size())
}

func leaveGroups[H comparable, K Key[K], A any](sets []*Set[H, K, A]) {
	for _, set := range sets {
		set.Group.Leave()
	}
}
