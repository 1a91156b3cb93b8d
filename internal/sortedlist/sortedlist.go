// Package sortedlist has a sorted list that many can walk from any place while it changes. A
// walk takes no lock, and sees the list as of its start.
package sortedlist

import (
	"iter"
	"slices"
	"sort"
	"sync/atomic"
)

// chunkSize is the approximate number of items in a chunk. A change copies the affected
// chunks, and the list of chunks.
const chunkSize = 128

// List is a list of distinct items in the order of a function. [Collect] creates one. One
// goroutine at a time may change it, and all may walk it. The order of an item must not
// change while it is in the list.
type List[T any] struct {
	compare func(a, b T) int
	chunks  atomic.Pointer[Snapshot[T]]
}

// Snapshot is the state of a list at one moment.
type Snapshot[T any] [][]T // chunks are immutable, and none is empty

// Collect returns a list of items, which must be in the order of compare.
func Collect[T any](compare func(a, b T) int, items []T) *List[T] {
	l := &List[T]{compare: compare}
	chunks := Snapshot[T](slices.Collect(slices.Chunk(slices.Clone(items), chunkSize)))
	l.chunks.Store(&chunks)
	return l
}

// Snapshot returns the present state of the list, at no cost.
func (l *List[T]) Snapshot() Snapshot[T] { return *l.chunks.Load() }

// Add adds items that are not in the list. It sorts them.
func (l *List[T]) Add(items []T) {
	l.change(items, func(chunk, items []T) []T {
		merged := make([]T, 0, len(chunk)+len(items))
		for _, item := range items {
			n := l.before(chunk, item)
			merged, chunk = append(append(merged, chunk[:n]...), item), chunk[n:]
		}
		return append(merged, chunk...)
	})
}

// Remove removes the items that are in the list. It sorts items.
func (l *List[T]) Remove(items []T) {
	l.change(items, func(chunk, items []T) []T {
		left := make([]T, 0, len(chunk))
		for _, item := range items {
			n := l.before(chunk, item)
			left, chunk = append(left, chunk[:n]...), chunk[n:]
			if len(chunk) > 0 && l.compare(chunk[0], item) == 0 {
				chunk = chunk[1:]
			}
		}
		return append(left, chunk...)
	})
}

// before returns the number of items in a chunk before item. It uses binary search, because
// comparing costs more than copying: each item is elsewhere in memory.
func (l *List[T]) before(chunk []T, item T) int {
	return sort.Search(len(chunk), func(i int) bool { return l.compare(chunk[i], item) >= 0 })
}

// change replaces each chunk to which some of items belong by the result of with for both.
func (l *List[T]) change(items []T, with func(chunk, items []T) []T) {
	slices.SortFunc(items, l.compare)
	old := l.Snapshot()
	fresh := make(Snapshot[T], 0, len(old)+1)
	for len(items) > 0 {
		// The items up to the first of the next chunk belong to this one.
		at := max(old.chunkOf(func(item T) bool { return l.compare(item, items[0]) <= 0 })-1, 0)
		fresh = append(fresh, old[:min(at, len(old))]...)
		var chunk []T
		n := len(items)
		if old = old[min(at, len(old)):]; len(old) > 0 {
			chunk, old = old[0], old[1:]
		}
		if len(old) > 0 {
			n = sort.Search(len(items), func(i int) bool { return l.compare(old[0][0], items[i]) <= 0 })
		}
		fresh = fresh.append(with(chunk, items[:n]))
		items = items[n:]
	}
	fresh = append(fresh, old...)
	l.chunks.Store(&fresh)
}

// append adds a changed chunk. It splits a chunk that is too long, and merges it with the
// previous chunk if both are short.
func (s Snapshot[T]) append(chunk []T) Snapshot[T] {
	if last := len(s) - 1; last >= 0 && len(s[last])+len(chunk) <= chunkSize/2 {
		chunk = slices.Concat(s[last], chunk)
		s = s[:last]
	}
	if len(chunk) <= 2*chunkSize {
		if len(chunk) > 0 {
			s = append(s, chunk)
		}
		return s
	}
	return append(s, slices.Collect(slices.Chunk(chunk, chunkSize))...)
}

// chunkOf returns the index of the first chunk for whose first item before is false.
func (s Snapshot[T]) chunkOf(before func(T) bool) int {
	return sort.Search(len(s), func(i int) bool { return !before(s[i][0]) })
}

// Len returns the number of items.
func (s Snapshot[T]) Len() int {
	n := 0
	for _, chunk := range s {
		n += len(chunk)
	}
	return n
}

// From yields the items in order, starting with the first for which before is false. before
// must be true for a prefix of the list and false for the rest.
func (s Snapshot[T]) From(before func(T) bool) iter.Seq[T] {
	return func(yield func(T) bool) {
		at := max(s.chunkOf(before)-1, 0)
		for i := at; i < len(s); i++ {
			chunk := s[i]
			if i == at {
				chunk = chunk[sort.Search(len(chunk), func(j int) bool { return !before(chunk[j]) }):]
			}
			for _, item := range chunk {
				if !yield(item) {
					return
				}
			}
		}
	}
}

// All yields all items in order.
func (s Snapshot[T]) All() iter.Seq[T] { return s.From(func(T) bool { return false }) }
