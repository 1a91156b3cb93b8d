package httpserve

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// EntryCache holds values that a protocol derives from entries, such as the values of
// their headers, so that answers share them. The table has a fixed size. Each key has one
// place, which it may share with other keys. A newer value replaces an older one there.
// So the table needs no lock and no eviction, and is never full.
type EntryCache[T any] struct {
	derive func(*conf.Entry) *T
	seed   maphash.Seed
	slots  [1 << 13]atomic.Pointer[cachedEntry[T]]
}

// cachedEntry is the value that was derived from one version of one key.
type cachedEntry[T any] struct {
	key            conf.Key
	revision, view int64
	md5            string
	modified       time.Time
	value          *T
}

// NewEntryCache returns a cache of the results of derive. A result should not contain the
// content of its entry, because results stay in the table for a long time.
func NewEntryCache[T any](derive func(*conf.Entry) *T) *EntryCache[T] {
	return &EntryCache[T]{derive: derive, seed: maphash.MakeSeed()}
}

// Of returns the value that is derived from e. The caller must not change it.
func (c *EntryCache[T]) Of(e *conf.Entry) *T {
	slot := &c.slots[maphash.Comparable(c.seed, e.Key)%uint64(len(c.slots))]
	if x := slot.Load(); x != nil && x.is(e) {
		return x.value
	}
	x := &cachedEntry[T]{e.Key, e.Revision, e.View, e.MD5, e.Modified, c.derive(e)}
	slot.Store(x)
	return x.value
}

// is reports whether x was derived from e. A storage that lost history may have another
// value at the same revision.
func (x *cachedEntry[T]) is(e *conf.Entry) bool {
	return x.revision == e.Revision && x.view == e.View && x.key == e.Key &&
		x.md5 == e.MD5 && x.modified.Equal(e.Modified)
}
