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
// keeps a write cheap: a part of a map of a million keys has about sixty.
const shards = 1 << 14

// Map is a map whose reads are lock-free. Make one with [New]. It is safe for
// concurrent use. Values that change often belong behind a pointer: replacing
// a value copies a part of the map, as adding one does.
type Map[K comparable, V any] struct {
	seed  maphash.Seed
	count atomic.Int64
	parts [shards]part[K, V]
}

type part[K comparable, V any] struct {
	mu sync.Mutex              // held by writers
	m  atomic.Pointer[map[K]V] // never changed once stored; nil when empty
}

// New returns an empty map.
func New[K comparable, V any]() *Map[K, V] {
	return &Map[K, V]{seed: maphash.MakeSeed()}
}

func (m *Map[K, V]) part(key K) *part[K, V] {
	return &m.parts[maphash.Comparable(m.seed, key)%shards]
}

func (p *part[K, V]) load() map[K]V {
	if m := p.m.Load(); m != nil {
		return *m
	}
	return nil
}

// Load returns the value of key, and whether there is one. It does not allocate.
func (m *Map[K, V]) Load(key K) (V, bool) {
	v, ok := m.part(key).load()[key]
	return v, ok
}

// Store sets the value of key.
func (m *Map[K, V]) Store(key K, value V) {
	p := m.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.load()
	fresh := make(map[K]V, len(old)+1)
	maps.Copy(fresh, old)
	fresh[key] = value
	m.count.Add(int64(len(fresh) - len(old)))
	p.m.Store(&fresh)
}

// Delete removes key, and reports whether it was there.
func (m *Map[K, V]) Delete(key K) bool {
	p := m.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.load()
	if _, ok := old[key]; !ok {
		return false
	}
	fresh := maps.Clone(old)
	delete(fresh, key)
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
			for k, v := range m.parts[i].load() {
				if !yield(k, v) {
					return
				}
			}
		}
	}
}

// Collect returns a map of all that seq yields, the last value where a key
// comes twice. It copies nothing, so it is the way to fill a large map.
func Collect[K comparable, V any](seq iter.Seq2[K, V]) *Map[K, V] {
	m := New[K, V]()
	var fill [shards]map[K]V
	for k, v := range seq {
		i := maphash.Comparable(m.seed, k) % shards
		if fill[i] == nil {
			fill[i] = make(map[K]V)
		}
		fill[i][k] = v
	}
	for i := range fill {
		if fill[i] != nil {
			m.parts[i].m.Store(&fill[i])
			m.count.Add(int64(len(fill[i])))
		}
	}
	return m
}
