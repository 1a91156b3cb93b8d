package diamond

import (
	"container/list"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/internal/waitset"
)

const (
	// keySetIdle is for how long a set of keys is known after its last poll.
	keySetIdle = 5 * time.Minute
	// maxSetKeys is how many keys all known sets may have together.
	maxSetKeys = 1 << 20
)

// keySet is a set of keys that clients poll, known by its hash.
type keySet struct {
	hash   KeySetHash
	keys   []Key    // sorted, each once
	denied []Denial // keys of the set that nobody may read; sorted, each once
	group  *waitset.Group[Key]
	answer atomic.Pointer[sharedAnswer] // the last one made for this set

	refs  int           // polls under way; guarded by keySets.mu
	idle  time.Time     // since when there are none; guarded by keySets.mu
	place *list.Element // in keySets.unused, while there are none; guarded by keySets.mu
}

// keySets are the sets that the server knows: those in use, and for some
// minutes those that were, so that polls need not send them again.
type keySets struct {
	waiters *waitset.Set[Key]
	limit   int // of keys of all sets together

	mu     sync.Mutex
	byHash map[KeySetHash]*keySet // guarded by mu
	total  int                    // keys of all sets; guarded by mu
	unused *list.List             // of *keySet without a poll, longest idle first; guarded by mu
}

func newKeySets(limit int) *keySets {
	return &keySets{waiters: waitset.New[Key](), limit: limit, byHash: make(map[KeySetHash]*keySet), unused: list.New()}
}

// size returns how many keys s has, of both kinds.
func (s *keySet) size() int { return len(s.keys) + len(s.denied) }

// denies reports whether key is one of s that may not be read.
func (s *keySet) denies(key Key) bool {
	_, denied := slices.BinarySearchFunc(s.denied, key, func(d Denial, key Key) int { return d.Key.Compare(key) })
	return denied
}

// acquire returns the set named hash, nil where it is not known and neither keys
// nor denied are given. Both together are canonical and valid, and have that hash;
// nobody waits for those that are denied. Each set acquired is released once.
func (k *keySets) acquire(hash KeySetHash, keys []Key, denied []Denial) (*keySet, error) {
	if set := k.find(hash); set != nil || len(keys)+len(denied) == 0 {
		return set, nil
	}
	slices.SortFunc(keys, Key.Compare)
	keys = slices.Compact(keys)
	fresh := &keySet{hash: hash, keys: keys, denied: denied, refs: 1}
	if err := k.reserve(fresh.size()); err != nil {
		return nil, err
	}
	fresh.group = k.waiters.Join(keys)

	k.mu.Lock()
	known := k.byHash[hash]
	if known == nil {
		k.byHash[hash] = fresh
	} else { // another poll was faster
		k.use(known)
		k.total -= fresh.size()
	}
	k.mu.Unlock()
	if known == nil {
		return fresh, nil
	}
	fresh.group.Leave()
	return known, nil
}

func (k *keySets) find(hash KeySetHash) *keySet {
	k.mu.Lock()
	defer k.mu.Unlock()
	set := k.byHash[hash]
	if set != nil {
		k.use(set)
	}
	return set
}

// use counts one more poll on set. The caller holds mu.
func (k *keySets) use(set *keySet) {
	if set.refs == 0 {
		k.unused.Remove(set.place)
	}
	set.refs++
}

// release takes back an acquire. A nil set is none.
func (k *keySets) release(set *keySet) {
	if set == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if set.refs--; set.refs == 0 {
		set.idle = time.Now()
		set.place = k.unused.PushBack(set)
	}
}

// shared reports whether more than one poll is on set.
func (k *keySets) shared(set *keySet) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return set.refs > 1
}

// reserve makes room for n keys, if need be by forgetting the sets that have
// been idle longest.
func (k *keySets) reserve(n int) error {
	var gone []*keySet
	k.mu.Lock()
	if k.total+n > k.limit {
		gone = k.forget(func(*keySet) bool { return k.total+n > k.limit })
	}
	full := k.total+n > k.limit
	if !full {
		k.total += n
	}
	k.mu.Unlock()
	leave(gone)
	if full {
		return shed("%d keys are being polled", k.limit)
	}
	return nil
}

// expire forgets the sets that nobody has polled for some minutes, and all
// answers, lest they hold contents for ever.
func (k *keySets) expire() {
	k.mu.Lock()
	for _, set := range k.byHash {
		set.answer.Store(nil)
	}
	gone := k.forget(func(set *keySet) bool { return time.Since(set.idle) >= keySetIdle })
	k.mu.Unlock()
	leave(gone)
}

// forget takes out the unused sets for which more holds, longest idle first,
// and stops at the first for which it does not. The caller holds mu.
func (k *keySets) forget(more func(*keySet) bool) (gone []*keySet) {
	for e := k.unused.Front(); e != nil && more(e.Value.(*keySet)); e = k.unused.Front() {
		set := k.unused.Remove(e).(*keySet)
		delete(k.byHash, set.hash)
		k.total -= set.size()
		gone = append(gone, set)
	}
	return gone
}

func leave(sets []*keySet) {
	for _, set := range sets {
		set.group.Leave()
	}
}
