package namesrv

import (
	"cmp"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// leases has the leases of a name server. A lease ends by the monotonic clock. The next
// operation removes ended leases, so nothing runs in the background.
type leases struct {
	instance string
	start    time.Time

	mu      sync.Mutex // guards the fields below
	version int64
	sorted  []leased  // by address
	next    time.Time // no lease ends before this
	whole   time.Time // from then on, all leases from before the start have ended or are known
}

type leased struct {
	addr   string
	scheme string
	ends   time.Time
}

func newLeases() *leases {
	now := time.Now()
	return &leases{instance: rand.Text(), start: now, whole: now.Add(DefaultLease)}
}

// expire removes the ended leases. l.mu is held.
func (l *leases) expire(now time.Time) (expired []string) {
	if now.Before(l.next) {
		return nil
	}
	l.next = now.Add(MaxLease) // later calls of put set later times
	l.sorted = slices.DeleteFunc(l.sorted, func(e leased) bool {
		if e.ends.After(now) {
			l.upTo(e.ends)
			return false
		}
		expired = append(expired, e.addr)
		l.version++
		return true
	})
	return expired
}

// upTo records that a lease ends at the given time. l.mu is held.
func (l *leases) upTo(ends time.Time) {
	if ends.Before(l.next) {
		l.next = ends
	}
}

// find returns the index of addr, or where it would be. l.mu is held.
func (l *leases) find(addr string) (int, bool) {
	return slices.BinarySearchFunc(l.sorted, addr, func(e leased, addr string) int { return cmp.Compare(e.addr, addr) })
}

// change is the effect of an operation on the list.
type change struct {
	version int64    // after it
	changed bool     // whether the operation itself changed the list
	expired []string // leases that had ended before it
}

// put registers addr, whose server speaks TLS if scheme is schemeTLS, for ttl, or renews its
// lease. The error is ErrOverloaded if the list is full.
func (l *leases) put(addr, scheme string, ttl time.Duration) (change, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	c := change{expired: l.expire(now)}
	ends := now.Add(ttl)
	l.upTo(ends)
	if longest := l.start.Add(ttl); now.Before(l.whole) && longest.After(l.whole) {
		l.whole = longest // other servers may have leases as long
	}
	i, renewed := l.find(addr)
	switch {
	case renewed:
		l.sorted[i].ends = ends
		if c.changed = l.sorted[i].scheme != scheme; c.changed {
			l.sorted[i].scheme = scheme
			l.version++
		}
	case len(l.sorted) >= MaxServers:
		c.version = l.version
		return c, conf.Errorf(conf.ErrOverloaded, "the list is full with %d servers", MaxServers)
	default:
		l.sorted = slices.Insert(l.sorted, i, leased{addr, scheme, ends})
		l.version++
		c.changed = true
	}
	c.version = l.version
	return c, nil
}

// remove unregisters addr, if it is registered.
func (l *leases) remove(addr string) change {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := change{expired: l.expire(time.Now())}
	if i, ok := l.find(addr); ok {
		l.sorted = slices.Delete(l.sorted, i, i+1)
		l.version++
		c.changed = true
	}
	c.version = l.version
	return c
}

// list returns the live servers.
func (l *leases) list() (ServerList, change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	c := change{expired: l.expire(now)}
	c.version = l.version
	list := ServerList{
		Instance: l.instance, Version: l.version, Incomplete: now.Before(l.whole),
		Servers: make([]Server, len(l.sorted)),
	}
	for i, e := range l.sorted {
		list.Servers[i] = Server{Address: e.addr, Scheme: e.scheme, LeaseMs: e.ends.Sub(now).Milliseconds()}
	}
	return list, c
}
