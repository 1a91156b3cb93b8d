// Package growmap has a map for keys that are added once and then read often. A read takes no
// lock, writes nothing shared, and hashes its key once.
package growmap

import (
	"iter"
	"maps"
	"sync"
	"sync/atomic"
)

// Map is a map whose reads are lock-free for all keys except the newest. [New] creates one. It
// is safe for concurrent use.
//
// New keys are collected in a small map next to the large one, under a lock. Once they have
// been read often enough to pay for it, the maps are merged. So adding n keys costs O(n),
// regardless of the reads in between.
type Map[K comparable, V any] struct {
	settled atomic.Pointer[map[K]V] // immutable once stored

	mu     sync.Mutex
	recent map[K]V // guarded by mu: keys that are not in settled
	missed int     // guarded by mu: number of reads that needed recent
}

// New returns an empty map.
func New[K comparable, V any]() *Map[K, V] {
	m := &Map[K, V]{recent: make(map[K]V)}
	m.settled.Store(&map[K]V{})
	return m
}

// Load returns the value of key, and whether there is one. It does not allocate, except when
// it merges the maps, which is rare.
func (m *Map[K, V]) Load(key K) (V, bool) {
	if v, ok := (*m.settled.Load())[key]; ok {
		return v, true
	}
	return m.loadRecent(key)
}

func (m *Map[K, V]) loadRecent(key K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	settled := *m.settled.Load()
	if v, ok := settled[key]; ok { // merged meanwhile
		return v, true
	}
	v, ok := m.recent[key]
	if !ok {
		return v, false
	}
	if m.missed++; m.missed > len(settled)/4+len(m.recent)/4 {
		m.settle()
	}
	return v, true
}

// Store sets the value of key. For an existing key the cost is that of the whole map.
func (m *Map[K, V]) Store(key K, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.recent[key] = value
	if _, ok := (*m.settled.Load())[key]; ok {
		m.settle()
	}
}

// Delete removes key, at the cost of the whole map.
func (m *Map[K, V]) Delete(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	fresh := maps.Clone(*m.settled.Load())
	delete(fresh, key)
	m.settled.Store(&fresh)
}

// DeleteFunc removes the keys for which remove returns true, at the cost of the whole map.
// remove must not use the map.
func (m *Map[K, V]) DeleteFunc(remove func(key K, value V) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept, removed := make(map[K]V), false
	m.settle()
	for key, value := range *m.settled.Load() {
		if remove(key, value) {
			removed = true
		} else {
			kept[key] = value
		}
	}
	if removed {
		m.settled.Store(&kept)
	}
}

// Len returns the number of keys.
func (m *Map[K, V]) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(*m.settled.Load()) + len(m.recent)
}

// All yields every present key with its value, in no order.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	return maps.All(*m.settled.Load())
}

// settle merges the maps. mu must be held.
func (m *Map[K, V]) settle() {
	if len(m.recent) == 0 {
		return
	}
	settled := *m.settled.Load()
	fresh := make(map[K]V, len(settled)+len(m.recent))
	maps.Copy(fresh, settled)
	maps.Copy(fresh, m.recent)
	m.settled.Store(&fresh)
	clear(m.recent)
	m.missed = 0
}
