// Package cowmap has a map for what is read all the time and written now and
// then: readers take no lock, and nothing that they share is written by them.
package cowmap

import (
	"hash/maphash"
	"iter"
	"maps"
	"sync"
	"sync/atomic"
)

// shards is how many parts a map has. A write copies one part, so this is what
// keeps a write cheap: a part of a map of a million keys has a thousand.
const shards = 1024

// Map is a map whose reads are lock-free. Make one with [New]. It is safe for
// concurrent use. Values that change often belong behind a pointer: replacing
// a value copies a part of the map, as adding one does.
type Map[K comparable, V any] struct {
	seed  maphash.Seed
	count atomic.Int64
	parts [shards]part[K, V]
}

type part[K comparable, V any] struct {
	mu sync.Mutex                              // held by writers
	m  atomic.Pointer[map[uint64]*entry[K, V]] // by hash; never changed once stored; nil when empty
}

// entry is a key with its value. It is found by the hash that also chose the
// part: hashing a key of several strings is most of what a read costs, and a
// map of K would do it again.
type entry[K comparable, V any] struct {
	key   K
	value V
	next  *entry[K, V] // another key with the very same hash; as good as never
}

// New returns an empty map.
func New[K comparable, V any]() *Map[K, V] {
	return &Map[K, V]{seed: maphash.MakeSeed()}
}

func (m *Map[K, V]) part(key K) (*part[K, V], uint64) {
	hash := maphash.Comparable(m.seed, key)
	return &m.parts[hash%shards], hash
}

func (p *part[K, V]) load() map[uint64]*entry[K, V] {
	if m := p.m.Load(); m != nil {
		return *m
	}
	return nil
}

// find returns the entry of key among e and those after it, nil where there is none.
func (e *entry[K, V]) find(key K) *entry[K, V] {
	for e != nil && e.key != key {
		e = e.next
	}
	return e
}

// without returns e and those after it, but for that of key.
func (e *entry[K, V]) without(key K) *entry[K, V] {
	switch {
	case e == nil:
		return nil
	case e.key == key:
		return e.next
	}
	return &entry[K, V]{e.key, e.value, e.next.without(key)}
}

// Load returns the value of key, and whether there is one. It does not allocate.
func (m *Map[K, V]) Load(key K) (value V, ok bool) {
	p, hash := m.part(key)
	if e := p.load()[hash].find(key); e != nil {
		return e.value, true
	}
	return value, false
}

// Store sets the value of key.
func (m *Map[K, V]) Store(key K, value V) {
	p, hash := m.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	m.store(p, hash, key, value)
}

// LoadOrStore returns the value of key. Where there is none it stores value
// and returns that, with loaded false.
func (m *Map[K, V]) LoadOrStore(key K, value V) (actual V, loaded bool) {
	p, hash := m.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.load()[hash].find(key); e != nil {
		return e.value, true
	}
	m.store(p, hash, key, value)
	return value, false
}

func (m *Map[K, V]) store(p *part[K, V], hash uint64, key K, value V) {
	old := p.load()
	fresh := make(map[uint64]*entry[K, V], len(old)+1)
	maps.Copy(fresh, old)
	if fresh[hash].find(key) == nil {
		m.count.Add(1)
	}
	fresh[hash] = &entry[K, V]{key, value, fresh[hash].without(key)}
	p.m.Store(&fresh)
}

// Delete removes key, and reports whether it was there.
func (m *Map[K, V]) Delete(key K) bool {
	p, hash := m.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.load()
	if old[hash].find(key) == nil {
		return false
	}
	fresh := maps.Clone(old)
	if rest := old[hash].without(key); rest != nil {
		fresh[hash] = rest
	} else {
		delete(fresh, hash)
	}
	m.count.Add(-1)
	p.m.Store(&fresh)
	return true
}

// Len returns the number of keys.
func (m *Map[K, V]) Len() int { return int(m.count.Load()) }

// All yields every key with its value, in no order. Keys stored or deleted
// meanwhile may or may not be among them; none comes twice.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for i := range m.parts {
			for _, e := range m.parts[i].load() {
				for ; e != nil; e = e.next {
					if !yield(e.key, e.value) {
						return
					}
				}
			}
		}
	}
}

// Collect returns a map of all that seq yields, the last value where a key
// comes twice. It copies nothing, so it is the way to fill a large map.
func Collect[K comparable, V any](seq iter.Seq2[K, V]) *Map[K, V] {
	m := New[K, V]()
	var fill [shards]map[uint64]*entry[K, V]
	for k, v := range seq {
		_, hash := m.part(k)
		part := &fill[hash%shards]
		if *part == nil {
			*part = make(map[uint64]*entry[K, V])
		}
		if (*part)[hash].find(k) == nil {
			m.count.Add(1)
		}
		(*part)[hash] = &entry[K, V]{k, v, (*part)[hash].without(k)}
	}
	for i := range fill {
		if fill[i] != nil {
			m.parts[i].m.Store(&fill[i])
		}
	}
	return m
}
