// Package growmap has a map for keys that are added once and then read all the
// time: a read takes no lock, writes nothing that others share, and hashes its
// key once.
package growmap

import (
	"iter"
	"maps"
	"sync"
	"sync/atomic"
)

// Map is a map whose reads are lock-free for all keys but those that came
// last. Make one with [New]. It is safe for concurrent use.
//
// New keys gather in a small map beside the large one, under a lock. Once they
// have been asked for often enough to pay for it, both are made one: so adding
// n keys costs in the order of n, whatever is read in between.
type Map[K comparable, V any] struct {
	settled atomic.Pointer[map[K]V] // never changed once stored

	mu     sync.Mutex
	recent map[K]V // guarded by mu: not in settled
	missed int     // guarded by mu: reads that had to look into recent
}

// New returns an empty map.
func New[K comparable, V any]() *Map[K, V] {
	m := &Map[K, V]{recent: make(map[K]V)}
	m.settled.Store(&map[K]V{})
	return m
}

// Load returns the value of key, and whether there is one. It does not
// allocate, but for the rare time that it makes both maps one.
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
	if v, ok := settled[key]; ok { // settled meanwhile
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

// Store sets the value of key. Doing so for a key that is not new costs in the
// order of the whole map.
func (m *Map[K, V]) Store(key K, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.recent[key] = value
	if _, ok := (*m.settled.Load())[key]; ok {
		m.settle()
	}
}

// Delete removes key, at a cost in the order of the whole map.
func (m *Map[K, V]) Delete(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	fresh := maps.Clone(*m.settled.Load())
	delete(fresh, key)
	m.settled.Store(&fresh)
}

// DeleteFunc removes the keys for which remove returns true, at a cost in the
// order of the whole map. Remove must not use the map.
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

// All yields every key of now with its value, in no order.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	return maps.All(*m.settled.Load())
}

// settle makes both maps one. mu must be held.
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
