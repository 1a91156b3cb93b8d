// Package budget bounds what all hold of something together, and divides it
// fairly among those who hold it.
package budget

import (
	"net/netip"
	"strings"
	"sync"
)

// Budget is an amount that is held by sources, such as addresses. It is safe
// for concurrent use.
type Budget struct {
	total int64 // of all sources together
	each  int64 // of one source

	mu     sync.Mutex
	held   map[string]int64 // by source; guarded by mu
	used   int64            // of total; guarded by mu
	shared map[any]*thing   // guarded by mu
}

// thing is what several sources may hold at once.
type thing struct {
	size    int64
	holders map[string]int // how many times each source holds it
}

// New returns a budget of total, of which no source may hold more than each.
func New(total, each int64) *Budget {
	return &Budget{total: total, each: each, held: make(map[string]int64), shared: make(map[any]*thing)}
}

// Take has source hold n more, and reports whether it may. No source may hold
// more than is then left for the others: so there is always something left for
// one more, however many are greedy.
func (b *Budget) Take(source string, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.take(source, n, n)
}

// take has source hold n more, of which more count in all. The caller holds mu.
func (b *Budget) take(source string, n, more int64) bool {
	held := b.held[source] + n
	if held > b.each || held > b.total-b.used-more {
		return false
	}
	b.held[source] = held
	b.used += more
	return true
}

// Give gives back n of what source holds.
func (b *Budget) Give(source string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.give(source, n)
}

// give takes n from what source holds. The caller holds mu.
func (b *Budget) give(source string, n int64) {
	if b.held[source] -= n; b.held[source] == 0 {
		delete(b.held, source)
	}
}

// TakeShared has source hold a thing of size n, as Take does. What is held already,
// under the same key, counts once for each source, and once in all.
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

// GiveShared takes back one TakeShared that source was allowed.
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

// Held returns what source holds.
func (b *Budget) Held(source string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held[source]
}

// Used returns what all sources hold together.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// Source returns who is taken to be behind the network address addr, which is
// host:port: a host with IPv4, a network of 64 bits with IPv6, in which one host
// has as many addresses as it likes. What is no such address is a source itself.
func Source(addr string) string {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return addr
	}
	ip := ap.Addr().Unmap().WithZone("")
	if ap.Addr().Is4() {
		return addr[:strings.LastIndexByte(addr, ':')] // every request comes by here
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
