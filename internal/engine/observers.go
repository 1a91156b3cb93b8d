package engine

import (
	"slices"
	"sync"

	"github.com/linnaname/gdiamond/conf"
)

// Observation is what an observer is told of the system namespaces; see [System].
type Observation struct {
	// Reset says that Changes are all entries that the system namespaces have at Position,
	// and that everything observed before is void. Otherwise Changes follow what was
	// observed before. There may be none, as when a new epoch has begun.
	Reset    bool
	Changes  []conf.Change // with their contents, in the order of the log, or in key order after a reset
	Position conf.Position // that is served next
}

// observers are the callbacks of [System].Observe. Whoever stores a state holds mu while the
// observers are told of it and it is stored, so that an observer that registers is told of
// exactly the state from which its changes follow.
type observers struct {
	mu      sync.Mutex
	members []*observer // guarded by mu
	serial  uint64      // observations that were due, whether or not there were observers; guarded by mu
}

// observer is one callback.
type observer struct {
	fn     func(Observation)
	owed   bool // it has not been told of a state yet, so changes would mean nothing to it
	failed bool // whoever registered it could not tell it: the feed has to
}

// some reports whether there are observers.
func (o *observers) some() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.members) > 0
}

// owes reports whether the feed has to tell some observer of the present state.
func (o *observers) owes() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.ContainsFunc(o.members, func(m *observer) bool { return m.owed && m.failed })
}

// fail records that one could not be told of the present state.
func (o *observers) fail(one *observer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	one.failed = true
}

// tell makes an observation. The caller holds mu.
func (o *observers) tell(seen Observation) {
	o.serial++
	for _, m := range o.members {
		if m.owed && !seen.Reset {
			continue
		}
		m.owed = false
		seen.Changes = slices.Clip(seen.Changes) // an observer that appends gets a copy
		m.fn(seen)
	}
}

// reset tells the observers of system, all entries of system keys at a position. If there are
// observers and system is nil, it returns false. The caller holds mu.
func (o *observers) reset(system *[]conf.Change, at conf.Position) bool {
	switch {
	case system != nil:
		o.tell(Observation{Reset: true, Changes: *system, Position: at})
	case len(o.members) > 0:
		return false
	default:
		o.serial++
	}
	return true
}

// settle tells the observers that have not been told of a state yet. The caller holds mu.
func (o *observers) settle(seen Observation) {
	for _, m := range o.members {
		if m.owed {
			m.owed = false
			m.fn(seen)
		}
	}
}

// add registers fn, which is owed the present state.
func (o *observers) add(fn func(Observation)) *observer {
	one := &observer{fn: fn, owed: true}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.members = append(slices.Clone(o.members), one)
	return one
}

// remove ends the observations of one. There are none after it has returned.
func (o *observers) remove(one *observer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.members = slices.DeleteFunc(slices.Clone(o.members), func(m *observer) bool { return m == one })
}

// systemChanges returns the changes of system keys in sets.
func systemChanges(sets []step) (changes []conf.Change) {
	for c := range changesOf(sets) {
		if c.Key.System() {
			changes = append(changes, *c)
		}
	}
	return changes
}

// changeOf returns an entry, with its content, as the change that published it. It does not
// have the author and the comment.
func changeOf(e *conf.Entry) conf.Change {
	return conf.Change{
		Revision: e.Revision, Count: 1, Op: conf.OpPublish, Key: e.Key, Type: e.Type,
		MD5: e.MD5, Size: e.Size, Meta: e.Meta, Time: e.Modified, Content: e.Content,
	}
}
