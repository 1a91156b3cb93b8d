package engine

import (
	"strings"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/sortedlist"
)

// listTurn is the number of keys that one list looks at before others have their turn.
const listTurn = 10_000

// listing is a walk along the keys of a state, which takes no lock.
type listing struct {
	scan  conf.ScanRequest
	st    *state
	cells sortedlist.Snapshot[*cell]

	at        conf.Key  // the key from which the walk continues
	found     []*record // exactly as they are in st
	more      bool      // there may be more after the last of found
	overtaken bool      // the first key of the page has changed since
}

// newListing returns a walk that finds the entries of scan in st.
func newListing(st *state, scan conf.ScanRequest) *listing {
	l := &listing{scan: scan, st: st, cells: st.index.order.Snapshot(), at: scan.After}
	if scan.After != (conf.Key{}) {
		l.at = following(scan.After)
	}
	return l
}

// turn walks along listTurn keys, and reports whether the walk has ended. A page that has an
// entry ends with the turn. It also ends before a key that has changed since st.
func (l *listing) turn() (ended bool) {
	for looked := 0; ; {
		at, ok := nextIn(&l.scan, l.at)
		if !ok {
			return true
		}
		l.at = at
		jump := false
		for place := range l.cells.From(func(p *cell) bool { return p.Load().Key.Compare(at) < 0 }) {
			r := place.Load()
			if looked++; looked > listTurn {
				l.at, l.more = r.Key, len(l.found) > 0
				return false
			}
			if next, ok := nextIn(&l.scan, r.Key); !ok || next != r.Key {
				l.at, jump = r.Key, true // to the next key that can pass the filter
				break
			}
			picked, ok := l.st.pick(r)
			switch {
			case !ok:
				l.more, l.overtaken = len(l.found) > 0, len(l.found) == 0
				return true
			case picked.deleted:
			case len(l.found) == l.scan.Limit:
				l.more = true
				return true
			default:
				l.found = append(l.found, picked)
			}
		}
		if !jump {
			return true
		}
	}
}

// nextIn returns the first key, from k on, that can pass the filter of r, and whether there
// is any. It returns k if k passes. A filter without a namespace excludes those of the
// system, because a list is for clients.
func nextIn(r *conf.ScanRequest, k conf.Key) (conf.Key, bool) {
	namespace := r.Namespace
	if namespace == "" {
		if k.System() {
			k = conf.Key{Namespace: afterSystem}
		}
		namespace = k.Namespace
	}
	switch {
	case k.Namespace < namespace, k.Namespace == namespace && k.Group < r.Group:
		return conf.Key{Namespace: namespace, Group: r.Group, DataID: r.Prefix}, true
	case k.Namespace > namespace:
		return conf.Key{}, false
	case r.Group != "" && k.Group > r.Group:
		return nextNamespace(r, k)
	case strings.HasPrefix(k.DataID, r.Prefix):
		return k, true
	case k.DataID < r.Prefix:
		return conf.Key{Namespace: k.Namespace, Group: k.Group, DataID: r.Prefix}, true
	case r.Group != "":
		return nextNamespace(r, k)
	}
	return conf.Key{Namespace: k.Namespace, Group: k.Group + "\x00"}, true // the next group
}

// afterSystem is above all namespaces that begin with "_", and below all others that
// are above those.
const afterSystem = "`"

// nextNamespace is [nextIn] for a key after which its namespace has no other that passes.
func nextNamespace(r *conf.ScanRequest, k conf.Key) (conf.Key, bool) {
	if r.Namespace != "" {
		return conf.Key{}, false
	}
	return conf.Key{Namespace: k.Namespace + "\x00"}, true
}

// following returns the first key after k in the order of keys.
func following(k conf.Key) conf.Key {
	k.DataID += "\x00"
	return k
}
