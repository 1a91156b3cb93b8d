package engine

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// viewed returns a record that a change at revision view has chosen again.
func viewed(dataID string, revision, view int64) *record {
	return &record{Entry: conf.Entry{Key: conf.NewKey("", dataID), Revision: revision, View: view, MD5: conf.MD5Hex("x"), Size: 1}}
}

// stateOf returns a state at a revision with records.
func stateOf(revision int64, records ...*record) *state {
	st := &state{index: newIndex(nil), position: conf.Position{Epoch: conf.Epoch{Generation: 1}, Revision: revision}}
	for _, r := range records {
		st.index.put(r)
	}
	st.index.arrange()
	return st
}

// The index orders the records of a key by View.
func TestView_Put(t *testing.T) {
	ix := newIndex(nil)
	_, ok := ix.put(viewed("k", 3, 7))
	assert.True(t, ok)
	_, ok = ix.put(viewed("k", 5, 5))
	assert.False(t, ok, "it was chosen before")
	_, ok = ix.put(viewed("k", 2, 8))
	assert.True(t, ok, "it was chosen later")
	assert.EqualValues(t, 8, ix.get(conf.NewKey("", "k")).View)
}

// A tombstone counts for the floor by its View.
func TestView_Tombstones(t *testing.T) {
	ix := newIndex(nil)
	gone := viewed("k", 3, 9)
	gone.deleted = true
	ix.put(gone)
	ix.arrange()
	assert.EqualValues(t, 9, ix.tombs[0].view)
	ix.forget(1)
	assert.Nil(t, ix.get(conf.NewKey("", "k")))
}

// A state does not show a record whose View is above its position: look-up, list and poll
// alike.
func TestView_Pick(t *testing.T) {
	r := viewed("k", 3, 7)
	for at, want := range map[int64]bool{3: false, 6: false, 7: true} {
		st := stateOf(at, r)
		_, ok := st.pick(r)
		assert.Equal(t, want, ok, at)
		l := newListing(st, conf.ScanRequest{Namespace: "public", Limit: 10})
		l.turn()
		assert.Equal(t, !want, l.overtaken, at)
		q := &query{set: &keySet{Keys: []conf.Key{r.Key}}}
		_, ok = q.differ(st)
		assert.Equal(t, want, ok, at)
		assert.Equal(t, !want, isAfter(r, st.position), "as the self-check sees it")
	}
}

// A poll gets a value whose View is after its position, whatever its revision.
func TestView_Differ(t *testing.T) {
	st := stateOf(9, viewed("k", 3, 7))
	for known, want := range map[int64]int{3: 1, 6: 1, 7: 0, 8: 0} {
		q := &query{set: &keySet{Keys: []conf.Key{conf.NewKey("", "k")}}, position: st.position}
		q.position.Revision = known
		d, ok := q.differ(st)
		require.True(t, ok)
		assert.Len(t, d.changed, want, known)
		if want > 0 {
			assert.EqualValues(t, 7, d.changed[0].View)
			assert.EqualValues(t, 3, d.changed[0].Revision)
		}
	}
}

// A shared answer is for those who do not know the View yet, and says when it was applied.
func TestView_SharedAnswer(t *testing.T) {
	s := newServed(slog.New(slog.DiscardHandler), newContents(1<<20, func(conf.Key, int64) (conf.Entry, error) {
		return conf.Entry{Revision: 3, MD5: conf.MD5Hex("x"), Content: "x"}, nil
	}))
	st := stateOf(9, viewed("k", 3, 7))
	st.since, st.applied = 6, time.Now()
	s.state.Store(st)
	cfg := DefaultConfig()
	p := newPolls(&cfg, &reads{served: s, health: newHealth(cfg.Logger, cfg.FeedInterval)})
	keys := []conf.Key{conf.NewKey("", "k")}
	ask := func(revision int64) *query {
		asked := &pollAsked{set: keySetName{hash: conf.HashKeys(keys)}, keys: keys, position: st.position}
		asked.position.Revision = revision
		q, err := p.query(asked, "")
		require.NoError(t, err)
		return q
	}
	first, second, third := ask(4), ask(6), ask(7)
	resp, err := p.compare(context.Background(), first)
	require.NoError(t, err)
	require.NotNil(t, resp)
	assert.Equal(t, st.applied, resp.Applied, "the newest batch brought the View")
	shared, err := p.compare(context.Background(), second)
	require.NoError(t, err)
	assert.Same(t, resp, shared)
	none, err := p.compare(context.Background(), third)
	require.NoError(t, err)
	assert.Nil(t, none, "it knows the View")
}

// Two records of one revision and another View are not the same.
func TestView_Compare(t *testing.T) {
	r, same, other := viewed("k", 3, 7), viewed("k", 3, 7), viewed("k", 3, 8)
	assert.True(t, r.standsFor(&same.Entry))
	assert.False(t, r.standsFor(&other.Entry))
	assert.False(t, r.says(other))
	assert.False(t, sameRecord(r, other))
	st := stateOf(9, r)
	assert.Same(t, r, st.reuse(same))
	assert.Same(t, other, st.reuse(other))
	none := viewed("k", 3, 0)
	assert.True(t, none.standsFor(&viewed("k", 3, 3).Entry), "a View that is not set is the revision")
}

// What a loss took is told by View.
func TestView_Lacks(t *testing.T) {
	old := stateOf(9, viewed("kept", 2, 3), viewed("again", 2, 7), viewed("same", 2, 8))
	now := stateOf(9, viewed("kept", 2, 2), viewed("again", 2, 2), viewed("same", 2, 8))
	assert.Equal(t, []string{"public/DEFAULT_GROUP/again"}, now.lacks(old, 4))
}
