// Package coalesce has a queue that keeps only the latest item of each key, so that a slow
// consumer gets the current items and not all earlier ones.
package coalesce

import (
	"context"
	"sync"
)

// Queue holds items by key until they are taken. [New] creates one. It is safe for
// concurrent use.
type Queue[K comparable, V any] struct {
	mu    sync.Mutex
	items map[K]V       // guarded by mu
	added chan struct{} // holds a token when there may be items
}

// New returns an empty queue.
func New[K comparable, V any]() *Queue[K, V] {
	return &Queue[K, V]{items: make(map[K]V), added: make(chan struct{}, 1)}
}

// Put adds an item, or replaces the one of its key.
func (q *Queue[K, V]) Put(key K, item V) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items[key] = item
	q.signal()
}

// PutBack adds items that were taken, except for keys that have a newer one.
func (q *Queue[K, V]) PutBack(items map[K]V) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for key, item := range items {
		if _, newer := q.items[key]; !newer {
			q.items[key] = item
		}
	}
	if len(q.items) > 0 {
		q.signal()
	}
}

// Drop removes the item of key, if there is one.
func (q *Queue[K, V]) Drop(key K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.items, key)
}

// Take removes and returns all items.
func (q *Queue[K, V]) Take() map[K]V {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items = make(map[K]V)
	return items
}

// Wait returns nil once there may be items, or ctx's error.
func (q *Queue[K, V]) Wait(ctx context.Context) error {
	select {
	case <-q.added:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (q *Queue[K, V]) signal() {
	select {
	case q.added <- struct{}{}:
	default:
	}
}
