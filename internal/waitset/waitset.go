// Package waitset wakes waiters for changes of keys. A waiter is a callback, not a goroutine.
// The cost of a change depends only on the waiters of the changed keys.
package waitset

import (
	"iter"
	"slices"
	"sync"
)

// Set has groups of keys and their waiters. [New] creates one. It is safe for concurrent use.
//
// To miss no change, a waiter must first register, then check whether the change has already
// happened, and then wait. A writer must first make its change, and then wake.
type Set[K comparable] struct {
	mu     sync.Mutex
	groups map[*Group[K]]struct{}
	byKey  map[K]members[K]
	len    int
}

// members are the groups that have a key. Most keys are in only one group, for which a map
// would cost many times the key.
type members[K comparable] struct {
	first  *Group[K]
	others map[*Group[K]]struct{} // nil if there are none
}

// Group is a set of keys with common waiters. The cost of registering does not depend on the
// number of keys.
type Group[K comparable] struct {
	set  *Set[K]
	keys []K
	root Waiter[K] // of a ring of waiters; guarded by set.mu
}

// Waiter is one registration.
type Waiter[K comparable] struct {
	group      *Group[K]
	prev, next *Waiter[K] // guarded by group.set.mu; prev is nil once removed
	call       func()
}

// New returns an empty set.
func New[K comparable]() *Set[K] {
	return &Set[K]{
		groups: make(map[*Group[K]]struct{}),
		byKey:  make(map[K]members[K]),
	}
}

// joinChunk is the number of keys that join or leave while the lock is held once, so that a
// large group does not delay a wake.
const joinChunk = 1024

// Join creates a group of keys, which must be distinct and must not be changed until
// [Group.Leave].
func (s *Set[K]) Join(keys []K) *Group[K] {
	g := &Group[K]{set: s, keys: keys}
	g.root.prev, g.root.next = &g.root, &g.root
	s.mu.Lock()
	s.groups[g] = struct{}{}
	s.mu.Unlock()
	for chunk := range slices.Chunk(keys, joinChunk) {
		s.mu.Lock()
		for _, k := range chunk {
			s.byKey[k] = s.byKey[k].with(g)
		}
		s.mu.Unlock()
	}
	return g
}

// Leave removes the group. It must have no waiters, and get no more.
func (g *Group[K]) Leave() {
	s := g.set
	for chunk := range slices.Chunk(g.keys, joinChunk) {
		s.mu.Lock()
		for _, k := range chunk {
			if left := s.byKey[k].without(g); left.first != nil {
				s.byKey[k] = left
			} else {
				delete(s.byKey, k)
			}
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	delete(s.groups, g)
	s.mu.Unlock()
}

func (m members[K]) with(g *Group[K]) members[K] {
	switch {
	case m.first == nil:
		m.first = g
	case m.others == nil:
		m.others = map[*Group[K]]struct{}{g: {}}
	default:
		m.others[g] = struct{}{}
	}
	return m
}

func (m members[K]) without(g *Group[K]) members[K] {
	if m.first != g {
		delete(m.others, g)
	} else {
		m.first = nil
		for other := range m.others { // any one of them
			m.first = other
			delete(m.others, other)
			break
		}
	}
	if len(m.others) == 0 {
		m.others = nil
	}
	return m
}

// Wait registers call, which is called once when a key of the group changes, or on
// [Set.WakeAll]. It runs in the goroutine that wakes, so it must not block or use the set.
func (g *Group[K]) Wait(call func()) *Waiter[K] {
	w := &Waiter[K]{group: g, call: call}
	g.set.mu.Lock()
	defer g.set.mu.Unlock()
	w.prev, w.next = g.root.prev, &g.root
	w.prev.next, w.next.prev = w, w
	g.set.len++
	return w
}

// Cancel removes the waiter, and reports whether it was still registered. Otherwise its call
// has been made, or is about to be. Cancel may be repeated.
func (w *Waiter[K]) Cancel() bool {
	s := w.group.set
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.prev == nil {
		return false
	}
	w.prev.next, w.next.prev = w.next, w.prev
	w.prev, w.next = nil, nil
	s.len--
	return true
}

// Wake calls every waiter of a group that has one of keys once, and returns their number. It
// removes all of them before it calls the first.
func (s *Set[K]) Wake(keys iter.Seq[K]) int {
	var woken []func()
	s.mu.Lock()
	for k := range keys {
		m := s.byKey[k]
		if m.first != nil {
			woken = m.first.take(woken)
		}
		for g := range m.others {
			woken = g.take(woken)
		}
	}
	s.mu.Unlock()
	return run(woken)
}

// Wake calls every waiter of the group once, and returns their number.
func (g *Group[K]) Wake() int {
	g.set.mu.Lock()
	woken := g.take(nil)
	g.set.mu.Unlock()
	return run(woken)
}

// WakeAll calls every waiter once, and returns their number.
func (s *Set[K]) WakeAll() int {
	var woken []func()
	s.mu.Lock()
	for g := range s.groups {
		woken = g.take(woken)
	}
	s.mu.Unlock()
	return run(woken)
}

// Len returns the number of waiters.
func (s *Set[K]) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.len
}

// take moves the calls of g's waiters to the end of calls.
func (g *Group[K]) take(calls []func()) []func() {
	for w := g.root.next; w != &g.root; {
		next := w.next
		calls = append(calls, w.call)
		w.prev, w.next = nil, nil
		g.set.len--
		w = next
	}
	g.root.prev, g.root.next = &g.root, &g.root
	return calls
}

func run(calls []func()) int {
	for _, call := range calls {
		call()
	}
	return len(calls)
}
