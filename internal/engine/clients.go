package engine

import (
	"container/list"
	"encoding/hex"
	"strings"
	"sync"
	"time"
	"unique"
	"weak"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/budget"
)

const (
	// clientTTL is the time after the last poll of a client for which the client is known. The
	// table of sets knows its key set as long.
	clientTTL = 5 * time.Minute
	// clientBytes is the memory of all clients, and sourceClientBytes of those of one
	// principal, or of the anonymous ones of one address.
	clientBytes       = 64 << 20
	sourceClientBytes = 32 << 20
	// clientOverhead is the memory of a client beside its texts.
	clientOverhead = 400
	// evictionLook is the number of idle clients that are looked at for one that gives way.
	evictionLook = 256
	// scanAtOnce is the number of clients that are looked at while polls wait.
	scanAtOnce = 256
)

// clients is the table of the clients that poll: who they are, and which key set each polls.
// Nothing depends on it, so a client for which there is no room is left out. It is safe for
// concurrent use.
type clients struct {
	room *budget.Budget // bytes, by source

	mu      sync.Mutex
	byName  map[clientName]*client // guarded by mu, with the fields of clients that change
	all     []*client              // guarded by mu: in no order
	idle    *list.List             // guarded by mu: those that do not poll, longest first
	refused time.Time              // guarded by mu: when one was last left out
}

func newClients() *clients {
	return &clients{room: budget.New(clientBytes, sourceClientBytes), byName: make(map[clientName]*client), idle: list.New()}
}

// nameOf returns the name of a client of source that polls set.
func nameOf(principal, source string, info *conf.ClientInfo, set *keySet) clientName {
	if info.ID != "" {
		return clientName{principal, info.ID}
	}
	hash := set.Hash().hash
	return clientName{principal, source + " " + hex.EncodeToString(hash[:8])}
}

// begin records the beginning of a poll of set by a client that knows it up to a revision. It
// returns the client, for end, or nil if there is no room.
func (t *clients) begin(caller *conf.Caller, source string, info *conf.ClientInfo, set *keySet, revision int64) *client {
	name := nameOf(caller.Principal.Name, source, info, set)
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.byName[name]
	if c == nil || !c.is(info) {
		if c != nil {
			t.remove(c)
		}
		if c = t.add(name, source, info); c == nil {
			t.refused = now
			return nil
		}
	} else if c.polls == 0 {
		t.idle.Remove(c.place)
	}
	if c.address != caller.Address {
		c.address = strings.Clone(caller.Address)
	}
	if c.set.Value() != set {
		c.set = weak.Make(set)
	}
	c.polls++
	c.seen, c.revision = now, revision
	return c
}

// end records the end of a poll that begin has recorded.
func (t *clients) end(c *client) {
	if c == nil {
		return
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	c.seen = now
	if c.polls--; c.polls == 0 && c.index >= 0 {
		c.place = t.idle.PushBack(c)
	}
}

// add adds a client, which is not among the idle ones, or returns nil if there is no room. The
// caller holds mu.
func (t *clients) add(name clientName, source string, info *conf.ClientInfo) *client {
	if info.Validate() != nil { // it did not come over a network
		return nil
	}
	c := &client{texts: textsOf(info), index: int32(len(t.all))}
	c.source = unique.Make(source).Value() // one string for all clients of the source
	c.name = clientName{unique.Make(name.principal).Value(), c.texts[:len(info.ID)]}
	if info.ID == "" {
		c.name.id = strings.Clone(name.id)
	}
	for !t.room.Take(source, c.size()) {
		other := t.givesWay(source, c.size())
		if other == nil {
			return nil
		}
		t.remove(other)
		c.index = int32(len(t.all))
	}
	t.byName[c.name] = c
	t.all = append(t.all, c)
	return c
}

// size returns the memory of c in bytes.
func (c *client) size() int64 { return clientOverhead + int64(len(c.texts)) }

// givesWay returns the client that is forgotten for n more bytes of source: the longest idle
// one of the source itself, or of one that holds no less. So nobody can make the clients of a
// smaller source be forgotten. The caller holds mu.
func (t *clients) givesWay(source string, n int64) *client {
	holds := t.room.Held(source) + n
	e := t.idle.Front()
	for range evictionLook {
		if e == nil {
			return nil
		}
		if c := e.Value.(*client); c.source == source || t.room.Held(c.source) >= holds {
			return c
		}
		e = e.Next()
	}
	return nil
}

// remove forgets c. The caller holds mu.
func (t *clients) remove(c *client) {
	if c.polls == 0 {
		t.idle.Remove(c.place)
	}
	last := t.all[len(t.all)-1]
	t.all[c.index], last.index = last, c.index
	t.all[len(t.all)-1] = nil
	t.all = t.all[:len(t.all)-1]
	c.index = -1
	delete(t.byName, c.name)
	t.room.Give(c.source, c.size())
}

// expire forgets the clients that have not polled for clientTTL.
func (t *clients) expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for e := t.idle.Front(); e != nil && time.Since(e.Value.(*client).seen) >= clientTTL; e = t.idle.Front() {
		t.remove(e.Value.(*client))
	}
}

// polledSet is what a client polls.
type polledSet struct {
	client  clientName
	set     *keySet
	polling bool // a poll is under way
}

// scan calls f for each client whose key set is still known. It may call f twice for a client
// if others are forgotten meanwhile.
func (t *clients) scan(f func(p polledSet)) {
	some := make([]polledSet, 0, scanAtOnce)
	// From the end: who is forgotten meanwhile gives its place to one that was looked at.
	for at, more := -1, true; more; {
		some = some[:0]
		t.mu.Lock()
		if at < 0 || at > len(t.all) {
			at = len(t.all)
		}
		for range min(at, scanAtOnce) {
			at--
			c := t.all[at]
			some = append(some, polledSet{c.name, c.set.Value(), c.polls > 0})
		}
		t.mu.Unlock()
		more = at > 0
		for _, p := range some {
			if p.set != nil {
				f(p)
			}
		}
	}
}

// get returns the client of a name, as answers have it, and its key set, or nil if that is not
// known any more.
func (t *clients) get(name clientName) (d conf.Client, set *keySet, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.byName[name]
	if c == nil {
		return d, nil, false
	}
	return c.describe(), c.set.Value(), true
}

// complete reports whether no client was left out lately.
func (t *clients) complete() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refused.IsZero() || time.Since(t.refused) >= clientTTL
}
