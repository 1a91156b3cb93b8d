// Package cowmap has a map for data that is read often and written rarely. Readers take no
// lock, and write nothing that they share.
package cowmap

import (
	"hash/maphash"
	"iter"
	"sync"
	"sync/atomic"
)

// shards is the number of parts of a map. Each part grows separately, which keeps the longest
// write short: in a map of a million keys a part has about a thousand.
const shards = 1 << 10

// Map is a map whose reads are lock-free. [New] creates one. It is safe for concurrent use.
type Map[K comparable, V any] struct {
	seed  maphash.Seed
	count atomic.Int64
	parts [shards]part[K, V]
}

// part is a hash table with chains.
type part[K comparable, V any] struct {
	mu     sync.Mutex                   // held by writers
	keys   int                          // guarded by mu
	chains atomic.Pointer[chains[K, V]] // their number is a power of two; nil if there are no keys
}

type chains[K comparable, V any] []atomic.Pointer[node[K, V]]

// node is a key with its value. It is immutable once it is in a chain.
type node[K comparable, V any] struct {
	key   K
	value V
	next  *node[K, V]
}

// New returns an empty map.
func New[K comparable, V any]() *Map[K, V] {
	return &Map[K, V]{seed: maphash.MakeSeed()}
}

// part returns the part for key, and the hash of key in that part.
func (m *Map[K, V]) part(key K) (*part[K, V], uint64) {
	hash := maphash.Comparable(m.seed, key)
	return &m.parts[hash%shards], hash / shards
}

// chain returns the chain for a hash, or nil if the part has none.
func (p *part[K, V]) chain(hash uint64) *atomic.Pointer[node[K, V]] {
	all := p.chains.Load()
	if all == nil {
		return nil
	}
	return &(*all)[hash&uint64(len(*all)-1)]
}

// Load returns the value of key, and whether there is one. It does not allocate.
func (m *Map[K, V]) Load(key K) (value V, ok bool) {
	p, hash := m.part(key)
	chain := p.chain(hash)
	if chain == nil {
		return value, false
	}
	for n := chain.Load(); n != nil; n = n.next {
		if n.key == key {
			return n.value, true
		}
	}
	return value, false
}

// Store sets the value of key.
func (m *Map[K, V]) Store(key K, value V) {
	p, hash := m.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	if all := p.chains.Load(); all == nil || p.keys >= len(*all) {
		m.grow(p)
	}
	chain := p.chain(hash)
	rest, had := chain.Load().without(key)
	chain.Store(&node[K, V]{key, value, rest})
	if !had {
		p.keys++
		m.count.Add(1)
	}
}

// Delete removes key, and reports whether the map had it.
func (m *Map[K, V]) Delete(key K) bool {
	p, hash := m.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	chain := p.chain(hash)
	if chain == nil {
		return false
	}
	rest, had := chain.Load().without(key)
	if had {
		chain.Store(rest)
		p.keys--
		m.count.Add(-1)
	}
	return had
}

// without returns a chain with all nodes of n except key, and reports whether n had key. The
// two chains share the nodes after key.
func (n *node[K, V]) without(key K) (rest *node[K, V], had bool) {
	switch {
	case n == nil:
		return nil, false
	case n.key == key:
		return n.next, true
	}
	if rest, had = n.next.without(key); !had {
		return n, false
	}
	return &node[K, V]{n.key, n.value, rest}, true
}

// grow doubles the chains of a part. The caller holds its lock.
func (m *Map[K, V]) grow(p *part[K, V]) {
	fresh := make(chains[K, V], 1)
	if old := p.chains.Load(); old != nil {
		fresh = make(chains[K, V], 2*len(*old))
		for k, v := range old.all() {
			_, hash := m.part(k)
			chain := &fresh[hash&uint64(len(fresh)-1)]
			chain.Store(&node[K, V]{k, v, chain.Load()})
		}
	}
	p.chains.Store(&fresh)
}

// Len returns the number of keys.
func (m *Map[K, V]) Len() int { return int(m.count.Load()) }

// All yields every key with its value, in no order. It may or may not yield keys that are
// stored or deleted meanwhile, and yields none twice.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for i := range m.parts {
			for k, v := range m.parts[i].chains.Load().all() {
				if !yield(k, v) {
					return
				}
			}
		}
	}
}

// all yields the nodes of all chains. c may be nil.
func (c *chains[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if c == nil {
			return
		}
		for i := range *c {
			for n := (*c)[i].Load(); n != nil; n = n.next {
				if !yield(n.key, n.value) {
					return
				}
			}
		}
	}
}

// Collect returns a map of the pairs of seq. If a key is repeated, the last value counts.
func Collect[K comparable, V any](seq iter.Seq2[K, V]) *Map[K, V] {
	m := New[K, V]()
	for k, v := range seq {
		m.Store(k, v)
	}
	return m
}
