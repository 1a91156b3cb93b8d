package validate

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/robust/record"
)

// good returns the record of a run in which all was well: a is published, then
// a and b together, a is deleted, and b published on a condition.
func good() *record.History {
	change := func(revision int64, number, count int, key, op, digest, id string) record.Change {
		return record.Change{Revision: revision, Number: number, Count: count, Key: key, DataID: key, Op: op, Digest: digest, ID: id}
	}
	seen := func(batch int, c record.Change) record.Seen {
		return record.Seen{Batch: batch, At: 100, Revision: c.Revision, Number: c.Number, Count: c.Count, Key: c.Key, Deleted: c.Op == "delete", Digest: c.Digest}
	}
	log := []record.Change{
		change(1, 0, 1, "a", "publish", "1", "w1"),
		change(2, 0, 2, "a", "publish", "2", "w2"), change(2, 1, 2, "b", "publish", "2", "w2"),
		change(3, 0, 1, "a", "delete", "", "w3"),
		change(4, 0, 1, "b", "publish", "4", "w4"),
	}
	watch := record.Watch{Until: 4}
	for i, c := range log {
		watch.Events = append(watch.Events, seen(max(0, i-1), c)) // the two of revision 2 together
	}
	watch.Events[2].Batch = watch.Events[1].Batch
	return &record.History{
		Ops: []record.Op{
			{Client: 1, ID: "w1", Kind: record.Put, Keys: []string{"a"}, Digest: "1", Call: 1, Return: 10, Outcome: record.OK, Revision: 1},
			{Client: 2, Kind: record.Get, Keys: []string{"a"}, Digest: "1", Call: 11, Return: 12, Outcome: record.OK, Revision: 1, Position: 1},
			{Client: 1, ID: "w2", Kind: record.Put, Keys: []string{"a", "b"}, Digest: "2", Call: 20, Return: 30, Outcome: record.OK, Revision: 2},
			{Client: 1, ID: "w3", Kind: record.Delete, Keys: []string{"a"}, Call: 40, Return: 50, Outcome: record.Unknown},
			{Client: 2, Kind: record.Get, Keys: []string{"a"}, Call: 60, Return: 61, Outcome: record.OK, Position: 3},
			{Client: 1, ID: "w4", Kind: record.CAS, Keys: []string{"b"}, Want: 2, Digest: "4", Call: 70, Return: 80, Outcome: record.OK, Revision: 4},
			{Client: 3, ID: "w5", Kind: record.CAS, Keys: []string{"b"}, Want: 2, Digest: "5", Call: 81, Return: 82, Outcome: record.Conflict, Error: "conflict"},
			{Client: 3, ID: "w6", Kind: record.Put, Keys: []string{"b"}, Digest: "6", Call: 83, Return: 84, Outcome: record.Failed, Error: "down"},
		},
		Told: []record.Told{
			{Client: 5, Key: "a", Revision: 1, Digest: "1", At: 100}, {Client: 5, Key: "a", Deleted: true, At: 101},
			{Client: 5, Key: "b", Revision: 2, Digest: "2", At: 102}, {Client: 5, Session: 1, Key: "b", Revision: 2, Digest: "2", At: 103},
			{Client: 5, Session: 1, Key: "b", Revision: 4, Digest: "4", At: 104},
		},
		Listeners: []record.Listener{{Client: 5, Session: 1, Key: "a"}, {Client: 5, Session: 1, Key: "b"}},
		Watches:   []record.Watch{watch, {Prefix: "b", After: 1, Until: 3, Events: []record.Seen{seen(0, log[2])}}},
		Held:      []record.Held{{Who: "client 5", Key: "a"}, {Who: "client 5", Key: "b", Revision: 4, Digest: "4"}},
		Nodes:     []record.Held{{Who: "node 0", Key: "a"}, {Who: "node 0", Key: "b", Revision: 4, Digest: "4"}},
		Log:       log,
		Entries:   []record.Held{{Who: "storage", Key: "b", Revision: 4, Digest: "4"}},
	}
}

// Each invariant is found to be broken where it is, and nowhere else.
func TestEachInvariantIsChecked(t *testing.T) {
	require.Empty(t, All(good()))
	drop := func(list *[]record.Seen, i int) { *list = slices.Delete(*list, i, i+1) }
	for name, c := range map[string]struct {
		invariant string
		spoil     func(h *record.History)
	}{
		"a read that missed a write":         {"INV-1", func(h *record.History) { h.Ops[1].Call, h.Ops[1].Return = 31, 32 }},
		"a condition that did not hold":      {"INV-1", func(h *record.History) { h.Ops[5].Want = 1 }},
		"a conflict without a reason":        {"INV-1", func(h *record.History) { h.Ops[6].Want = 4 }},
		"a hole in the log":                  {"INV-2", func(h *record.History) { h.Log = slices.Delete(h.Log, 3, 4) }},
		"half of a set":                      {"INV-2", func(h *record.History) { h.Log = slices.Delete(h.Log, 2, 3) }},
		"a change done twice":                {"INV-2", func(h *record.History) { h.Log[4].ID = "w1" }},
		"revisions against time":             {"INV-2", func(h *record.History) { h.Ops[0].Call, h.Ops[0].Return = 90, 95 }},
		"a read that is no prefix":           {"INV-2", func(h *record.History) { h.Ops[1].Position = 2 }},
		"a watch that missed a change":       {"INV-3", func(h *record.History) { drop(&h.Watches[0].Events, 3) }},
		"a watch that brought one twice":     {"INV-3", func(h *record.History) { e := &h.Watches[0].Events; *e = slices.Insert(*e, 1, (*e)[0]) }},
		"a watch out of order":               {"INV-3", func(h *record.History) { e := h.Watches[0].Events; e[3], e[4] = e[4], e[3] }},
		"a set in two answers":               {"INV-3", func(h *record.History) { h.Watches[0].Events[2].Batch++ }},
		"a watch of what it did not ask for": {"INV-3", func(h *record.History) { h.Watches[1].Prefix = "a" }},
		"a watch's content":                  {"INV-8", func(h *record.History) { h.Watches[1].Events[0].Digest = "x" }},
		"a listener that went back":          {"INV-4", func(h *record.History) { h.Told[3].Revision, h.Told[2].Revision = 2, 4; h.Told[2].Digest = "4" }},
		"a listener told twice":              {"INV-4", func(h *record.History) { h.Told[3].Session = 0 }},
		"a listener told of an equal value":  {"C7", func(h *record.History) { h.Told[2].Session, h.Told[4].Digest, h.Log[4].Digest = 1, "2", "2" }},
		"a client that is behind":            {"INV-5", func(h *record.History) { h.Held[1].Revision = 2 }},
		"an acknowledged change is lost":     {"INV-6", func(h *record.History) { h.Log[0].ID = "?" }},
		"a failed change is there":           {"INV-6", func(h *record.History) { h.Log[4].ID = "w6" }},
		"a view that the log does not have":  {"INV-7", func(h *record.History) { h.Entries[0].Revision = 2 }},
		"a view that lacks a key":            {"INV-7", func(h *record.History) { h.Entries = nil }},
		"a broken promise of the storage":    {"INV-7", func(h *record.History) { h.Broken = []string{"the chain"} }},
		"a listener's content":               {"INV-8", func(h *record.History) { h.Told[0].Digest = "x" }},
		"taken away without a deletion":      {"INV-9", func(h *record.History) { h.Told[4].Deleted = true }},
		"a listener that missed the last":    {"INV-10", func(h *record.History) { h.Told = h.Told[:4] }},
		"a listener that missed a deletion":  {"INV-10", func(h *record.History) { h.Told[0].Session, h.Told[1].Session = 1, 0 }},
		"a listener that was told nothing":   {"INV-10", func(h *record.History) { h.Told = h.Told[:2] }},
		"a node that is behind":              {"INV-13", func(h *record.History) { h.Nodes[1].Digest = "x" }},
		"a node that cannot say":             {"INV-13", func(h *record.History) { h.Nodes[0].Error = "not ready" }},
	} {
		h := good()
		c.spoil(h)
		var found []string
		for _, p := range All(h) {
			found = append(found, p.Invariant)
		}
		assert.Contains(t, found, c.invariant, name)
	}
}

// A change of unknown outcome that comes when all have learned of what there
// was may be known in the end, or not; what was there before must be known.
func TestLateChanges(t *testing.T) {
	behind := func(settled int64) *record.History {
		h := good()
		h.Settled = settled
		h.Told, h.Held[1], h.Nodes[1] = h.Told[:4], record.Held{Who: "client 5", Key: "b", Revision: 2, Digest: "2"}, record.Held{Who: "node 0", Key: "b", Revision: 2, Digest: "2"}
		return h
	}
	assert.Empty(t, All(behind(3)))
	h := good()
	h.Settled = 3
	assert.Empty(t, All(h), "known to all")
	for _, settled := range []int64{0, 4} {
		var found []string
		for _, p := range All(behind(settled)) {
			found = append(found, p.Invariant)
		}
		assert.Equal(t, []string{"INV-10", "INV-5", "INV-13"}, found, "settled at %d", settled)
	}
	h = behind(3)
	h.Held[1].Digest, h.Nodes[1].Revision = "x", 1
	assert.Len(t, All(h), 2, "neither what was there nor what came")
}

// Nobody is told of a value that is equal to the one that he has.
func TestEqualValues(t *testing.T) {
	equal := func() *record.History {
		h := good()
		for _, digest := range []*string{&h.Ops[5].Digest, &h.Log[4].Digest, &h.Watches[0].Events[4].Digest, &h.Held[1].Digest, &h.Nodes[1].Digest, &h.Entries[0].Digest} {
			*digest = "2"
		}
		h.Told = h.Told[:4]
		return h
	}
	assert.Empty(t, All(equal()), "the listener has the value of the last revision since an earlier one")
	h := equal()
	h.Held[1].Revision = 2
	assert.Len(t, All(h), 1, "the client itself takes the revision over")
}

func TestContentsInLogs(t *testing.T) {
	texts := map[string]string{"a": "a line\nwith canary-7-x in it\nand more", "b": "nothing"}
	found := Canary("canary-7-", texts)
	require.Len(t, found, 1)
	assert.Equal(t, "INV-12: a holds a content: with canary-7-x in it", found[0].String())
}
