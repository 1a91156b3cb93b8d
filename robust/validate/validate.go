// Package validate checks the recording of a run. Each function is pure: it reads the recording
// and returns its problems. None calls the system.
package validate

import (
	"fmt"
	"slices"
	"time"

	"github.com/linnaname/gdiamond/robust/model"
	"github.com/linnaname/gdiamond/robust/record"
)

// Problem is one violation of an invariant in a recording.
type Problem struct {
	Invariant string // such as "INV-1"
	Text      string
}

// String returns "invariant: text".
func (p Problem) String() string { return p.Invariant + ": " + p.Text }

// problems collects the problems of one invariant.
type problems struct {
	invariant string
	found     []Problem
}

func (p *problems) add(format string, args ...any) {
	p.found = append(p.found, Problem{p.invariant, fmt.Sprintf(format, args...)})
}

// checkTimeout limits the search for the linearization of one key.
const checkTimeout = 5 * time.Minute

// All checks all invariants of a recording.
func All(h *record.History) (found []Problem) {
	for _, check := range []func(*record.History) []Problem{
		Log, Acknowledged, Order, Reads, Linearizable, Watches, Told, Converged, Nodes, Rights,
	} {
		found = append(found, check(h)...)
	}
	return found
}

// Linearizable checks INV-1: the calls for each key are linearizable.
func Linearizable(h *record.History) []Problem {
	p := problems{invariant: "INV-1"}
	for _, bad := range model.Check(h, checkTimeout) {
		p.add("%s: %s", bad.Key, bad.Result)
	}
	return p.found
}

// Log checks INV-2 and INV-7: the log is dense and has each change once, and the current view is
// its result.
func Log(h *record.History) []Problem {
	dense, whole := problems{invariant: "INV-2"}, problems{invariant: "INV-7"}
	for _, text := range h.Broken {
		whole.add("%s", text)
	}
	now := make(map[string]record.Change)
	done := make(map[string]int64)
	for i, c := range h.Log {
		var before record.Change
		if i > 0 {
			before = h.Log[i-1]
		}
		next := c.Number == 0 && c.Revision == before.Revision+1 && before.Number == before.Count-1
		if i == 0 {
			next = c.Revision == 1 && c.Number == 0
		}
		same := i > 0 && c.Revision == before.Revision && c.Number == before.Number+1 && c.Count == before.Count
		if !next && !same {
			dense.add("change %d of revision %d follows change %d of revision %d", c.Number, c.Revision, before.Number, before.Revision)
		}
		if revision, again := done[c.ID]; again && c.ID != "" && revision != c.Revision {
			dense.add("%s was done at revision %d and again at %d", c.ID, revision, c.Revision)
		}
		done[c.ID] = c.Revision
		if c.Op == "publish" {
			now[c.Key] = c
		} else {
			delete(now, c.Key)
		}
	}
	for _, e := range h.Entries {
		c, ok := now[e.Key]
		if !ok || c.Revision != e.Revision || c.Digest != e.Digest {
			whole.add("the current view has %s at revision %d, the log leads to %d", e.Key, e.Revision, c.Revision)
		}
		delete(now, e.Key)
	}
	for key, c := range now {
		whole.add("the log leads to %s at revision %d, the current view does not have it", key, c.Revision)
	}
	return append(dense.found, whole.found...)
}

// byID returns the changes of each request id.
func byID(h *record.History) map[string][]record.Change {
	changes := make(map[string][]record.Change)
	for _, c := range h.Log {
		changes[c.ID] = append(changes[c.ID], c)
	}
	return changes
}

// Acknowledged checks INV-6: acknowledged writes are in the log as they were requested, and
// writes that certainly failed are not.
func Acknowledged(h *record.History) []Problem {
	p := problems{invariant: "INV-6"}
	log := byID(h)
	for _, o := range h.Ops {
		if o.Kind == record.Get || o.Outcome == record.Unknown {
			continue
		}
		done := log[o.ID]
		if o.Outcome != record.OK {
			if len(done) > 0 {
				p.add("%s was told to have failed (%s), and is there at revision %d", o.ID, o.Error, done[0].Revision)
			}
			continue
		}
		if len(done) != len(o.Keys) {
			p.add("%s was acknowledged at revision %d with %d changes, and %d are there", o.ID, o.Revision, len(o.Keys), len(done))
			continue
		}
		for _, c := range done {
			if c.Revision != o.Revision || !slices.Contains(o.Keys, c.Key) || c.Digest != o.Digest {
				p.add("%s was acknowledged at revision %d, and is another change of %s at %d", o.ID, o.Revision, c.Key, c.Revision)
			}
		}
	}
	return p.found
}

// Order checks INV-2: of two writes, the one that returned before the other was
// called has the lower revision.
func Order(h *record.History) []Problem {
	p := problems{invariant: "INV-2"}
	var acked []record.Op
	for _, o := range h.Ops {
		if o.Kind != record.Get && o.Outcome == record.OK {
			acked = append(acked, o)
		}
	}
	slices.SortStableFunc(acked, func(a, b record.Op) int { return int(a.Revision - b.Revision) })
	latest := record.Op{} // the latest call of those with a lower revision
	for _, o := range acked {
		if o.Return < latest.Call && o.Revision != latest.Revision {
			p.add("%s (revision %d) returned before %s (%d) was called", o.ID, o.Revision, latest.ID, latest.Revision)
		}
		if o.Call > latest.Call {
			latest = o
		}
	}
	return p.found
}

// Reads checks INV-2 and INV-8: a server shows the state of the key at the server's position,
// which is a prefix of the history and never a mix.
func Reads(h *record.History) []Problem {
	p := problems{invariant: "INV-2"}
	byKey := make(map[string][]record.Change)
	for _, c := range h.Log {
		byKey[c.Key] = append(byKey[c.Key], c)
	}
	for _, o := range h.Ops {
		if o.Kind != record.Get || o.Outcome != record.OK {
			continue
		}
		changes := byKey[o.Keys[0]]
		i, _ := slices.BinarySearchFunc(changes, o.Position+1, func(c record.Change, r int64) int { return int(c.Revision - r) })
		var want record.Change
		if i > 0 && changes[i-1].Op == "publish" {
			want = changes[i-1]
		}
		if o.Revision != want.Revision || o.Digest != want.Digest {
			p.add("%s at position %d was shown at revision %d, and is at %d there", o.Keys[0], o.Position, o.Revision, want.Revision)
		}
	}
	return p.found
}
