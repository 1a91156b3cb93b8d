package diamond

import (
	"container/list"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/internal/budget"
	"github.com/linnaname/gdiamond/internal/waitset"
)

// How many keys the key sets that clients poll may have unless [WithSetKeys] says
// otherwise.
const (
	DefaultSetKeys        = 4 << 20   // all together
	DefaultAddressSetKeys = 128 << 10 // those that one address sent
)

const (
	// keySetIdle is for how long a set of keys is known after its last poll.
	keySetIdle = 5 * time.Minute
	// evictionLook is how many unused sets are looked at for one that gives way.
	evictionLook = 1024
)

// keySet is a set of keys that clients poll, known by its hash.
type keySet struct {
	hash   KeySetHash
	source string   // who sent it first, against whom its keys count
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
	total   *budget.Budget // keys of all sets, by source

	mu     sync.Mutex
	byHash map[KeySetHash]*keySet // guarded by mu
	unused *list.List             // of *keySet without a poll, longest idle first; guarded by mu
}

// newKeySets returns sets whose polls wait among waiters. They may have limit keys
// together, and perSource those of one source.
func newKeySets(waiters *waitset.Set[Key], limit, perSource int64) *keySets {
	return &keySets{
		waiters: waiters, total: budget.New(limit, perSource),
		byHash: make(map[KeySetHash]*keySet), unused: list.New(),
	}
}

// size returns how many keys s has, of both kinds.
func (s *keySet) size() int64 { return int64(len(s.keys) + len(s.denied)) }

// denies reports whether key is one of s that may not be read.
func (s *keySet) denies(key Key) bool {
	_, denied := slices.BinarySearchFunc(s.denied, key, func(d Denial, key Key) int { return d.Key.Compare(key) })
	return denied
}

// acquire returns the set named hash, nil where it is not known and neither keys
// nor denied are given. Both together are canonical and valid, and have that hash;
// nobody waits for those that are denied; source sent them. Each set acquired is
// released once.
func (k *keySets) acquire(hash KeySetHash, keys []Key, denied []Denial, source string) (*keySet, error) {
	if set := k.find(hash); set != nil || len(keys)+len(denied) == 0 {
		return set, nil
	}
	slices.SortFunc(keys, Key.Compare)
	keys = slices.Compact(keys)
	return k.add(&keySet{hash: hash, source: source, keys: keys, denied: denied, refs: 1})
}

// add makes fresh known, and returns it with its first poll; or the same set, where
// another poll was faster.
func (k *keySets) add(fresh *keySet) (*keySet, error) {
	if err := k.reserve(fresh.size(), fresh.source); err != nil {
		return nil, err
	}
	fresh.group = k.waiters.Join(fresh.keys)

	k.mu.Lock()
	known := k.byHash[fresh.hash]
	if known == nil {
		k.byHash[fresh.hash] = fresh
	} else {
		k.use(known)
		k.total.Give(fresh.source, fresh.size())
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

// reserve takes room for n keys of source, if need be by forgetting sets that
// nobody polls.
func (k *keySets) reserve(n int64, source string) error {
	var gone []*keySet
	defer func() { leaveGroups(gone) }()
	k.mu.Lock()
	defer k.mu.Unlock()
	for !k.total.Take(source, n) {
		set := k.givesWay(n, source)
		if set == nil {
			return overloaded("%d keys are being polled, %d of them in sets from this address", k.total.Used(), k.total.Held(source))
		}
		k.forget(set)
		gone = append(gone, set)
	}
	return nil
}

// givesWay returns the set that is forgotten for n more keys of source, the longest
// idle of those that may be: its own, and those of who holds no less. Nobody makes
// a small source's sets be sent again by sending ever new ones. The caller holds mu.
func (k *keySets) givesWay(n int64, source string) *keySet {
	holds := k.total.Held(source) + n
	e := k.unused.Front()
	for range evictionLook {
		if e == nil {
			return nil
		}
		set := e.Value.(*keySet)
		if set.source == source || k.total.Held(set.source) >= holds {
			return set
		}
		e = e.Next()
	}
	return nil
}

// expire forgets the sets that nobody has polled for some minutes, and all
// answers, lest they hold contents for ever.
func (k *keySets) expire() {
	var gone []*keySet
	k.mu.Lock()
	for _, set := range k.byHash {
		set.answer.Store(nil)
	}
	for e := k.unused.Front(); e != nil && time.Since(e.Value.(*keySet).idle) >= keySetIdle; e = k.unused.Front() {
		set := e.Value.(*keySet)
		k.forget(set)
		gone = append(gone, set)
	}
	k.mu.Unlock()
	leaveGroups(gone)
}

// forget takes out a set that nobody polls. The caller holds mu.
func (k *keySets) forget(set *keySet) {
	k.unused.Remove(set.place)
	delete(k.byHash, set.hash)
	k.total.Give(set.source, set.size())
}

func leaveGroups(sets []*keySet) {
	for _, set := range sets {
		set.group.Leave()
	}
}
