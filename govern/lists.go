package govern

import (
	"maps"
	"slices"
)

// include returns the sorted list with s. It does not change list, which others may have.
func include(list []string, s string) []string {
	i, found := slices.BinarySearch(list, s)
	if found {
		return list
	}
	return slices.Insert(slices.Clip(list), i, s)
}

// exclude returns the sorted list without s. It does not change list.
func exclude(list []string, s string) []string {
	i, found := slices.BinarySearch(list, s)
	if !found {
		return list
	}
	return slices.Concat(list[:i], list[i+1:])
}

// put makes s stand in the list of key, or not stand there.
func put(t *table[[]string], key, s string, in bool) {
	had := t.get(key)
	next := exclude(had, s)
	if in {
		next = include(had, s)
	}
	switch {
	case len(next) == len(had):
	case len(next) == 0:
		t.delete(key)
	default:
		t.set(key, next)
	}
}

// set of texts.
type set map[string]struct{}

func (s set) add(texts ...string) {
	for _, t := range texts {
		s[t] = struct{}{}
	}
}

// sorted returns the texts in order.
func (s set) sorted() []string { return slices.Sorted(maps.Keys(s)) }
