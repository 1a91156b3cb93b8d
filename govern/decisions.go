package govern

import (
	"container/list"
	"slices"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

const (
	// decisionLife is the time after its last use for which a decision is kept.
	decisionLife = 10 * time.Minute
	// maxDecided is the maximum of what is kept for one principal: a decision counts one, and
	// one more for each key that it denies.
	maxDecided = 1 << 17
	// maxDecidedAll is the maximum of what is kept for all principals together, counted in
	// the same way. Above it the principal for whom the most is kept decides anew.
	maxDecidedAll = 1 << 19
	// sweepEvery is the time between two looks for decisions that nobody uses.
	sweepEvery = time.Minute
)

// setDecision says which keys of a set a principal may read. It is never changed.
type setDecision struct {
	subset conf.KeySetHash // of the keys that may be read, or of the whole set if nothing is denied
	none   bool            // no key may be read
	denied []conf.Key      // sorted, each once
}

// denies reports whether the canonical key is one that may not be read.
func (d *setDecision) denies(key conf.Key) bool {
	_, found := slices.BinarySearchFunc(d.denied, key, conf.Key.Compare)
	return found
}

// weight is what d counts of maxDecided.
func (d *setDecision) weight() int { return 1 + len(d.denied) }

// decisions keeps, for each principal, what was decided about the sets of keys that it polls.
// So a poll need only name its set by hash. A hash alone gives no right: who has none of the
// decisions has to send the keys. All decisions of a principal were made under the same
// rights, which a channel stands for that is closed when they change. Make one with
// [newDecisions]. It is safe for concurrent use.
type decisions struct {
	mu     sync.Mutex
	of     map[string]*decided // by the name of the principal; guarded by mu
	swept  time.Time           // guarded by mu
	counts int                 // decisions that were made since the start; guarded by mu
	weight int                 // of all that is kept; guarded by mu
}

// decided is what was decided for one principal.
type decided struct {
	void   <-chan struct{} // of the rights under which it was decided
	sets   map[conf.KeySetHash]*list.Element
	order  *list.List // of *keptDecision, the one that was used last at the front
	weight int        // of all together
}

type keptDecision struct {
	*setDecision
	set  conf.KeySetHash
	used time.Time
}

func newDecisions() *decisions { return &decisions{of: make(map[string]*decided)} }

// find returns what was decided about a set for a principal under the rights that void
// stands for, or nil.
func (d *decisions) find(principal string, void <-chan struct{}, set conf.KeySetHash) *setDecision {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweep(now)
	have := d.of[principal]
	if have == nil || have.void != void {
		return nil
	}
	place := have.sets[set]
	if place == nil {
		return nil
	}
	kept := place.Value.(*keptDecision)
	kept.used = now
	have.order.MoveToFront(place)
	return kept.setDecision
}

// keep counts a decision and keeps it, unless the rights under which it was made have changed
// since. What was decided under earlier rights is dropped.
func (d *decisions) keep(principal string, void <-chan struct{}, set conf.KeySetHash, made *setDecision) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts++
	if isClosed(void) || made.weight() > maxDecided {
		return
	}
	have := d.of[principal]
	if have == nil || have.void != void {
		d.forget(principal)
		have = &decided{void: void, sets: make(map[conf.KeySetHash]*list.Element), order: list.New()}
		d.of[principal] = have
	}
	if place := have.sets[set]; place != nil {
		d.drop(have, place)
	}
	have.sets[set] = have.order.PushFront(&keptDecision{made, set, now})
	have.weight += made.weight()
	d.weight += made.weight()
	for have.weight > maxDecided {
		d.drop(have, have.order.Back())
	}
	for d.weight > maxDecidedAll {
		d.forget(d.heaviest())
	}
	d.sweep(now)
}

// made returns how many decisions were made since the start.
func (d *decisions) made() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts
}

// sweep drops what nobody has used for long, or was decided under rights of before, if the
// last sweep was some time ago. The caller holds mu.
func (d *decisions) sweep(now time.Time) {
	if now.Sub(d.swept) < sweepEvery {
		return
	}
	d.swept = now
	for principal, have := range d.of {
		for place := have.order.Back(); place != nil; place = have.order.Back() {
			if now.Sub(place.Value.(*keptDecision).used) < decisionLife {
				break
			}
			d.drop(have, place)
		}
		if have.order.Len() == 0 || isClosed(have.void) {
			d.forget(principal)
		}
	}
}

// drop drops one decision. The caller holds mu.
func (d *decisions) drop(have *decided, place *list.Element) {
	kept := have.order.Remove(place).(*keptDecision)
	delete(have.sets, kept.set)
	have.weight -= kept.weight()
	d.weight -= kept.weight()
}

// forget drops all that is kept for a principal, if there is anything. The caller holds mu.
func (d *decisions) forget(principal string) {
	if have := d.of[principal]; have != nil {
		d.weight -= have.weight
		delete(d.of, principal)
	}
}

// heaviest returns the principal for whom the most is kept. The caller holds mu.
func (d *decisions) heaviest() (principal string) {
	most := -1
	for name, have := range d.of {
		if have.weight > most {
			principal, most = name, have.weight
		}
	}
	return principal
}

// isClosed reports whether c is closed. Nothing is ever sent on c, which may be nil.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
