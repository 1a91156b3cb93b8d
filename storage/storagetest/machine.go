package storagetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

func machineClauses() []clause {
	return []clause{
		{"F13_AgainstAMap", "Whatever is done in whatever order, the store is as a map and a list of changes would be.", func(p *probe) {
			rapid.Check(p.T, func(t *rapid.T) {
				m := newMachine(p.suite.open(p.T))
				m.run(t, p)
			})
		}},
		{"F13_Pruned", "The same holds for what is kept while history is pruned all the time.", func(p *probe) {
			if p.retention == nil {
				p.Skip("the storage does not say that it can")
			}
			rapid.Check(p.T, func(t *rapid.T) {
				s := p.retention(p.T, storage.Retention{Age: time.Nanosecond, Versions: 2, Changes: 6})
				m := newMachine(s)
				m.prune = s.Prune
				m.run(t, p)
			})
		}},
	}
}

// machine runs a store next to a model of it.
type machine struct {
	store diamond.Storage
	prune func(context.Context) error

	values     map[conf.Key]conf.Entry // the current value of each key
	log        []conf.Change           // all changes, without contents and times
	head       conf.Position
	seen       conf.Position // the log was compared up to here
	compared   int           // of log
	checks     int
	sets       []conf.ChangeSet // committed, with request ids
	outcomes   []conf.Position  // of sets
	generation int64
}

func newMachine(s diamond.Storage) *machine {
	return &machine{store: s, values: make(map[conf.Key]conf.Entry), generation: 1}
}

func (m *machine) run(t *rapid.T, p *probe) {
	defer func() { require.NoError(t, m.store.Close()) }()
	defer m.checkAll(t)
	actions := map[string]func(*rapid.T){
		"":       m.check,
		"commit": m.commit,
		"batch":  m.batch,
		"retry":  m.retry,
		"fork":   m.fork,
	}
	if m.prune != nil {
		actions["prune"] = func(t *rapid.T) { require.NoError(t, m.prune(contextOf(t))) }
	}
	if p.reopen != nil && m.prune == nil {
		actions["reopen"] = func(*rapid.T) { m.store = p.reopen(p.T, m.store) }
	}
	t.Repeat(actions)
}

func machineKeys() []conf.Key {
	return []conf.Key{key("a"), key("a.b"), key("b"), {Namespace: "n", Group: "a", DataID: "a"}, {Namespace: "n.", Group: "a", DataID: "a"}}
}

// set draws a change set, with conditions that mostly hold.
func (m *machine) set(t *rapid.T) conf.ChangeSet {
	set := conf.ChangeSet{Comment: rapid.SampledFrom([]string{"", "why"}).Draw(t, "comment")}
	condition := func(k conf.Key) int64 {
		if rapid.IntRange(0, 3).Draw(t, "stale") == 0 {
			return rapid.Int64Range(1, m.head.Revision+2).Draw(t, "revision")
		}
		return m.values[k].Revision
	}
	keys := rapid.Permutation(machineKeys()).Draw(t, "keys")
	for _, k := range keys[:rapid.IntRange(1, 3).Draw(t, "n")] {
		var ifRevision *int64
		if rapid.Bool().Draw(t, "if") {
			ifRevision = conf.Revision(condition(k))
		}
		switch kind := rapid.IntRange(0, 5).Draw(t, "kind"); {
		case kind == 0 && set.Len() > 0:
			set.Checks = append(set.Checks, conf.Check{Key: k, Revision: condition(k)})
		case kind == 1:
			set.Deletes = append(set.Deletes, conf.Delete{Key: k, IfRevision: ifRevision})
		default:
			set.Drafts = append(set.Drafts, conf.Draft{
				Key: k, Content: rapid.StringN(0, 20, -1).Draw(t, "content"), IfRevision: ifRevision,
				Type: rapid.SampledFrom([]string{"", "json"}).Draw(t, "type"), Reset: kind == 2,
				AllowEmpty: true,
				Meta:       rapid.SampledFrom([]map[string]string{nil, {"k": "v"}, {"k": "w", "m": ""}}).Draw(t, "meta"),
			})
		}
	}
	if rapid.Bool().Draw(t, "id") {
		set.RequestID = fmt.Sprint("r", len(m.sets))
	}
	return set
}

// expect returns the errors with which a set may fail, or none if it must succeed.
func (m *machine) expect(set conf.ChangeSet) (errs []error) {
	fails := func(k conf.Key, want *int64) {
		if want != nil && m.values[k].Revision != *want {
			errs = append(errs, conf.ErrConflict)
		}
	}
	for _, c := range set.Checks {
		fails(c.Key, &c.Revision)
	}
	for _, d := range set.Drafts {
		fails(d.Key, d.IfRevision)
	}
	for _, d := range set.Deletes {
		fails(d.Key, d.IfRevision)
		if d.IfRevision == nil && m.values[d.Key].Revision == 0 {
			errs = append(errs, conf.ErrNotFound)
		}
	}
	return errs
}

// apply commits a set to the model.
func (m *machine) apply(set conf.ChangeSet, at conf.Position) {
	n := 0
	add := func(op conf.Op, e conf.Entry) {
		m.log = append(m.log, conf.Change{
			Revision: at.Revision, Number: n, Count: set.Len(), Op: op, Key: e.Key, Type: e.Type, Meta: e.Meta, Comment: set.Comment,
		})
		n++
	}
	for _, d := range set.Drafts {
		e := conf.Entry{Key: d.Key, Revision: at.Revision, Content: d.Content, Type: d.Type, Meta: d.Meta}
		if have := m.values[d.Key]; !d.Reset { // the keys have no extension with a type
			e.Type = cmp.Or(e.Type, have.Type)
			if e.Meta == nil {
				e.Meta = have.Meta
			}
		}
		add(conf.OpPublish, e)
		m.values[d.Key] = e
	}
	for _, d := range set.Deletes {
		add(conf.OpDelete, conf.Entry{Key: d.Key})
		delete(m.values, d.Key)
	}
	if set.RequestID != "" {
		m.sets, m.outcomes = append(m.sets, set), append(m.outcomes, at)
	}
	m.head = at
}

func (m *machine) commit(t *rapid.T) {
	set := m.set(t)
	results, err := m.store.Commit(contextOf(t), []conf.ChangeSet{set})
	require.NoError(t, err)
	m.settle(t, set, results[0])
}

// batch commits several sets in one call. Each is drawn against the state before the call,
// and may find another one.
func (m *machine) batch(t *rapid.T) {
	sets := make([]conf.ChangeSet, 3)
	for i := range sets {
		sets[i] = m.set(t)
		sets[i].RequestID = ""
	}
	results, err := m.store.Commit(contextOf(t), sets)
	require.NoError(t, err)
	for i, r := range results {
		m.settle(t, sets[i], r)
	}
}

// settle compares the outcome of a set with the model's expectation, and applies it to the
// model.
func (m *machine) settle(t *rapid.T, set conf.ChangeSet, r conf.Result) {
	require.False(t, r.Replayed)
	if expected := m.expect(set); len(expected) > 0 {
		require.True(t, slices.ContainsFunc(expected, func(e error) bool { return errors.Is(r.Err, e) }), "%v, expected one of %v", r.Err, expected)
		return
	}
	require.NoError(t, r.Err)
	require.Equal(t, m.head.Revision+1, r.Position.Revision)
	m.apply(set, r.Position)
}

func (m *machine) retry(t *rapid.T) {
	if len(m.sets) == 0 {
		t.Skip("nothing to retry")
	}
	i := rapid.IntRange(0, len(m.sets)-1).Draw(t, "which")
	set := m.sets[i]
	other := rapid.Bool().Draw(t, "other")
	if other {
		set.Comment += "!"
	}
	results, err := m.store.Commit(contextOf(t), []conf.ChangeSet{set})
	require.NoError(t, err)
	if other {
		require.ErrorIs(t, results[0].Err, conf.ErrInvalid)
		return
	}
	require.NoError(t, results[0].Err)
	require.True(t, results[0].Replayed)
	require.Equal(t, m.outcomes[i], results[0].Position)
}

func (m *machine) fork(t *rapid.T) {
	verified := m.head
	if !verified.IsZero() {
		verified.Revision += rapid.Int64Range(0, 3).Draw(t, "lost")
	}
	at, err := m.store.Fork(contextOf(t), verified)
	require.NoError(t, err)
	if !verified.IsZero() && verified == m.head {
		require.Equal(t, m.head, at, "nothing was lost")
		return
	}
	require.Equal(t, verified.Revision+1, at.Revision)
	m.generation++
	require.Equal(t, m.generation, at.Epoch.Generation)
	m.head = at
	m.log = append(m.log, conf.Change{Revision: at.Revision, Count: 1, Op: conf.OpFork})
}

// check compares the current view, the new part of the log and one history with the model.
func (m *machine) check(t *rapid.T) {
	entries := scan(t, m.store, conf.ScanRequest{Limit: 2, Contents: true})
	require.Len(t, entries, len(m.values))
	want := slices.SortedFunc(maps.Keys(m.values), conf.Key.Compare)
	for i, e := range entries {
		v := m.values[want[i]]
		require.Equal(t, want[i], e.Key)
		require.Equal(t, v.Revision, e.Revision)
		require.Equal(t, v.Content, e.Content)
		require.Equal(t, v.Type, e.Type)
		require.Equal(t, v.Meta, e.Meta)
	}
	m.checkLog(t)
	m.checks++
	m.checkHistory(t, machineKeys()[m.checks%len(machineKeys())])
}

// checkAll compares the whole log and all histories.
func (m *machine) checkAll(t *rapid.T) {
	if t.Failed() {
		return
	}
	m.seen, m.compared = conf.Position{}, 0
	m.checkLog(t)
	for _, k := range machineKeys() {
		m.checkHistory(t, k)
	}
}

func (m *machine) checkLog(t *rapid.T) {
	b, err := m.store.Changes(contextOf(t), m.seen, all)
	if m.head.Revision > 0 {
		require.Equal(t, m.head, b.Head)
	}
	if m.prune != nil && errors.Is(err, conf.ErrCompacted) {
		require.Greater(t, len(m.log), m.compared+6, "the floor")
	} else {
		changes, _ := follow(t, m.store, m.seen, 10)
		require.Len(t, changes, len(m.log)-m.compared)
		for i, c := range changes {
			requireSame(t, m.log[m.compared+i], c)
		}
	}
	m.seen, m.compared = b.Head, len(m.log)
}

func (m *machine) checkHistory(t *rapid.T, k conf.Key) {
	changes, err := m.store.History(contextOf(t), k, 0, 1000)
	require.NoError(t, err)
	i := 0
	for _, c := range slices.Backward(m.log) {
		if c.Key != k || c.Op == conf.OpFork {
			continue
		}
		if i == len(changes) {
			require.NotNil(t, m.prune, "revision %d of %v is missing", c.Revision, k)
			// A deleted key may have been removed and created again.
			require.True(t, i >= 2 || m.values[k].Revision == 0 || c.Op == conf.OpDelete, "the floor of versions")
			return
		}
		requireSame(t, c, changes[i])
		i++
	}
	require.Len(t, changes, i)
}

func requireSame(t *rapid.T, want, got conf.Change) {
	require.Equal(t, want, conf.Change{
		Revision: got.Revision, Number: got.Number, Count: got.Count, Op: got.Op, Key: got.Key,
		Type: got.Type, Meta: got.Meta, Comment: got.Comment,
	})
}
