// Package budget limits the total of a resource, and divides it fairly among its users.
package budget

import (
	"net/netip"
	"strings"
	"sync"
)

// Budget is an amount that is shared by sources, such as addresses. It is safe for
// concurrent use.
type Budget struct {
	total int64 // of all sources together
	each  int64 // of one source

	mu     sync.Mutex
	held   map[string]int64 // by source; guarded by mu
	used   int64            // of total; guarded by mu
	shared map[any]*thing   // guarded by mu
}

// thing is something that several sources may hold at the same time.
type thing struct {
	size    int64
	holders map[string]int // number of times that each source holds it
}

// New returns a budget of total. No source may hold more than each.
func New(total, each int64) *Budget {
	return &Budget{total: total, each: each, held: make(map[string]int64), shared: make(map[any]*thing)}
}

// Take makes source hold n more, and reports whether that is allowed. No source may hold more
// than is then left for the others. So something is always left for another source, however
// many are greedy.
func (b *Budget) Take(source string, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.take(source, n, n)
}

// take makes source hold n more, of which more count towards the total. The caller holds mu.
func (b *Budget) take(source string, n, more int64) bool {
	held := b.held[source] + n
	if held > b.each || held > b.total-b.used-more {
		return false
	}
	b.held[source] = held
	b.used += more
	return true
}

// Give returns n that source holds.
func (b *Budget) Give(source string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.give(source, n)
}

// give returns n that source holds. The caller holds mu.
func (b *Budget) give(source string, n int64) {
	if b.held[source] -= n; b.held[source] == 0 {
		delete(b.held, source)
	}
}

// TakeShared makes source hold a thing of size n, like Take. A thing that is held under the
// same key already counts once for each source, and once in total.
func (b *Budget) TakeShared(source string, key any, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.shared[key]
	switch {
	case t == nil:
		if !b.take(source, n, n) {
			return false
		}
		b.shared[key] = &thing{size: n, holders: map[string]int{source: 1}}
		return true
	case t.holders[source] == 0 && !b.take(source, t.size, 0):
		return false
	}
	t.holders[source]++
	return true
}

// GiveShared reverses one successful TakeShared of source.
func (b *Budget) GiveShared(source string, key any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.shared[key]
	if t.holders[source]--; t.holders[source] > 0 {
		return
	}
	delete(t.holders, source)
	b.give(source, t.size)
	if len(t.holders) == 0 {
		delete(b.shared, key)
		b.used -= t.size
	}
}

// Held returns the amount that source holds.
func (b *Budget) Held(source string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held[source]
}

// Used returns the amount that all sources hold together.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// SourceOf returns the source that a request counts for: the principal that its sender has
// proven to be, or else the source of the address. No address is the source of a principal.
func SourceOf(principal, addr string) string {
	if principal != "" {
		return "principal:" + principal
	}
	return Source(addr)
}

// Source returns the source of the network address addr, a host:port. For IPv4 it is the
// host, and for IPv6 the network of 64 bits, because one host can use any address in it. Any
// other text is its own source.
func Source(addr string) string {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return addr
	}
	ip := ap.Addr().Unmap().WithZone("")
	if ap.Addr().Is4() {
		return addr[:strings.LastIndexByte(addr, ':')] // a fast path, because every request calls this
	}
	if ip.Is4() {
		return ip.String()
	}
	network, err := ip.Prefix(64)
	if err != nil {
		return addr
	}
	return network.String()
}
