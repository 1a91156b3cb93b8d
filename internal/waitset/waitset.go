// Package waitset wakes those who wait for a change of some keys. A waiter is
// a callback, not a goroutine; a change costs the waiters of the changed keys
// and nobody else.
package waitset

import (
	"iter"
	"slices"
	"sync"
)

// Set holds groups of keys and who waits on them. Make one with [New]. It is
// safe for concurrent use.
//
// To miss nothing: register first, then look whether the change has already
// happened, then wait. Who changes something changes it first, then wakes.
type Set[K comparable] struct {
	mu     sync.Mutex
	groups map[*Group[K]]struct{}
	byKey  map[K]members[K]
	len    int
}

// members are the groups that have a key. Most keys are in one group alone, for
// which a map would cost many times the key.
type members[K comparable] struct {
	first  *Group[K]
	others map[*Group[K]]struct{} // nil: there are none
}

// Group is a set of keys that many wait on together, so that to register
// costs the same whatever the number of keys.
type Group[K comparable] struct {
	set  *Set[K]
	keys []K
	root Waiter[K] // of a ring of waiters; guarded by set.mu
}

// Waiter is one registration.
type Waiter[K comparable] struct {
	group      *Group[K]
	prev, next *Waiter[K] // guarded by group.set.mu; prev is nil once taken out
	call       func()
}

// New returns an empty set.
func New[K comparable]() *Set[K] {
	return &Set[K]{
		groups: make(map[*Group[K]]struct{}),
		byKey:  make(map[K]members[K]),
	}
}

// joinChunk is how many keys join or leave under one hold of the lock, so that
// a large group does not hold up a wake.
const joinChunk = 1024

// Join makes a group of keys, which must be distinct and must not be changed
// until [Group.Leave].
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

// Leave takes the group out. It must have no waiters then, and get no more.
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
		for other := range m.others { // any will do
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

// Wait has call called once when a key of the group changes, or on
// [Set.WakeAll], from the goroutine that wakes: it must not block, nor use the set.
func (g *Group[K]) Wait(call func()) *Waiter[K] {
	w := &Waiter[K]{group: g, call: call}
	g.set.mu.Lock()
	defer g.set.mu.Unlock()
	w.prev, w.next = g.root.prev, &g.root
	w.prev.next, w.next.prev = w, w
	g.set.len++
	return w
}

// Cancel takes the waiter out and reports whether it was still in; else its
// call has been made, or is about to be. It may be repeated.
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

// Wake calls, once, every waiter of a group that has one of keys, and returns
// how many these were. They have been taken out when it calls the first.
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

// Wake calls every waiter of the group, once, and returns how many these were.
func (g *Group[K]) Wake() int {
	g.set.mu.Lock()
	woken := g.take(nil)
	g.set.mu.Unlock()
	return run(woken)
}

// WakeAll calls every waiter, once, and returns how many these were.
func (s *Set[K]) WakeAll() int {
	var woken []func()
	s.mu.Lock()
	for g := range s.groups {
		woken = g.take(woken)
	}
	s.mu.Unlock()
	return run(woken)
}

// Len returns how many are waiting.
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
