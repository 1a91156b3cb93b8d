// Package sortedlist has a list in order for what is walked from anywhere, by
// many, while it changes: a walk takes no lock, and sees the list as it was when
// the walk began.
package sortedlist

import (
	"iter"
	"slices"
	"sort"
	"sync/atomic"
)

// chunkSize is about how many items are together. A change copies the chunks
// that it touches, and the list of chunks.
const chunkSize = 128

// List is a list in the order of a function, each item once. Make one with
// [Collect]. One goroutine at a time may change it, all may walk it. The order of
// an item must not change while it is in the list.
type List[T any] struct {
	compare func(a, b T) int
	chunks  atomic.Pointer[Snapshot[T]]
}

// Snapshot is a list as it was at one moment.
type Snapshot[T any] [][]T // no chunk is empty; none is changed once it is in here

// Collect returns a list of items, which are in the order of compare.
func Collect[T any](compare func(a, b T) int, items []T) *List[T] {
	l := &List[T]{compare: compare}
	chunks := Snapshot[T](slices.Collect(slices.Chunk(slices.Clone(items), chunkSize)))
	l.chunks.Store(&chunks)
	return l
}

// Snapshot returns the list as it is now, at no cost.
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

// Remove removes those of items that are in the list. It sorts them.
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

// before returns how many items of a chunk come before item. It is found by
// halving: to compare costs more than to copy, as each item is somewhere else in
// memory.
func (l *List[T]) before(chunk []T, item T) int {
	return sort.Search(len(chunk), func(i int) bool { return l.compare(chunk[i], item) >= 0 })
}

// change replaces each chunk that items belong to by what with makes of both.
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

// append adds a chunk that has been changed, in parts where it is too long, and
// to the one before where that leaves both short.
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

// chunkOf returns the first chunk whose first item is not before.
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

// From yields the items in order from the first on that is not before, which
// is true of a first part of the list, and false of the rest.
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
