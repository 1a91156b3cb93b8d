package engine

import (
	"maps"
	"slices"
	"sync"
)

// usage counts the keys that have a value, and the bytes of their contents, by namespace. One
// goroutine at a time writes, all may read.
type usage struct {
	mu    sync.Mutex
	holds map[string]*holding // guarded by mu; namespaces without keys are not in it
}

// holding is what a namespace has.
type holding struct {
	keys  int
	bytes int64
}

func newUsage() *usage { return &usage{holds: make(map[string]*holding)} }

// add adds to what a namespace has. Both numbers may be negative.
func (u *usage) add(namespace string, keys int, bytes int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	h := u.holds[namespace]
	if h == nil {
		h = new(holding)
		u.holds[namespace] = h
	}
	h.keys += keys
	h.bytes += bytes
	if h.keys == 0 {
		delete(u.holds, namespace)
	}
}

// of returns what a namespace has.
func (u *usage) of(namespace string) (keys int, bytes int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if h := u.holds[namespace]; h != nil {
		return h.keys, h.bytes
	}
	return 0, 0
}

// namespaces returns the namespaces that have keys, sorted.
func (u *usage) namespaces() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Sorted(maps.Keys(u.holds))
}
