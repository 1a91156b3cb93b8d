package engine

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// fullOfTombstones returns what a server serves whose index has as many tombstones as it
// keeps, and over more. The key of the first is gone-0, its revision 2.
func fullOfTombstones(over int) (s *served, first conf.Key, before conf.Position) {
	s = newServed(slog.New(slog.DiscardHandler), newContents(1<<20))
	ix := newIndex(nil)
	for i := range minTombs + over {
		ix.put(&record{Entry: conf.Entry{Key: conf.NewKey("", fmt.Sprint("gone-", i)), Revision: int64(i + 2)}, deleted: true})
	}
	before = conf.Position{Store: conf.StoreID{1}, Epoch: conf.Epoch{Generation: 1}, Revision: 1}
	at := before
	at.Revision = int64(minTombs + over + 1)
	s.state.Store(&state{index: ix, position: at})
	return s, conf.NewKey("", "gone-0"), before
}

func tells(d diff) bool { return d.resync || len(d.changed) > 0 }

// While a reader holds the lock, neither does the floor move nor are tombstones dropped.
func TestReadersWithTheLockKeepTombstones(t *testing.T) {
	s, first, before := fullOfTombstones(maxForget)
	w := &query{set: &keySet{Keys: []conf.Key{first}}, position: before}
	trimmed := make(chan struct{})
	s.stable(func(now *state) {
		go func() { s.trim(now); close(trimmed) }()
		select {
		case <-trimmed:
			t.Error("the floor has moved under a reader")
		case <-time.After(50 * time.Millisecond): // in which it could have, many times over
		}
		d, ok := w.differ(now)
		assert.True(t, ok && len(d.changed) == 1, "the deletion is told: %+v", d)
	})
	<-trimmed
	assert.Nil(t, s.state.Load().index.get(first))
	d, ok := w.differ(s.state.Load())
	assert.True(t, ok && d.resync, "who is below the floor starts afresh: %+v", d)
}

// A reader without the lock does not take a key for unchanged if its tombstone was dropped
// while the reader looked.
func TestDeletionForgottenWhileComparing(t *testing.T) {
	s, first, before := fullOfTombstones(maxForget)
	st := s.state.Load()
	s.trim(st)
	require.Nil(t, st.index.get(first))
	q := &query{set: &keySet{Keys: []conf.Key{first}}, position: before}
	var d diff
	now := s.lookupAll(st, func(st *state) (ok bool) {
		d, ok = q.differ(st)
		return ok
	})
	assert.True(t, tells(d), "%+v", d)
	assert.Same(t, s.state.Load(), now)
}

// A key that was deleted, and whose tombstone was dropped, while a reader looked is absent
// only as of the present state.
func TestDeletionForgottenWhileLookingUp(t *testing.T) {
	s, first, before := fullOfTombstones(maxForget)
	old := &state{index: s.state.Load().index, position: before}
	s.trim(s.state.Load())
	now, r := s.lookup(old, first)
	assert.Nil(t, r)
	assert.Same(t, s.state.Load(), now, "at the old position the key had a value")
}

// Deletions in any number stop the feed for no longer than some thousand of them.
func TestTombstonesGoAFewAtATime(t *testing.T) {
	s, _, _ := fullOfTombstones(5*maxForget + 1)
	ix := s.state.Load().index
	for over := 5*maxForget + 1; over > 0; over -= maxForget {
		before := ix.cells.Len()
		st := s.trim(s.state.Load())
		gone := before - ix.cells.Len()
		require.Equal(t, min(over, maxForget), gone)
		require.EqualValues(t, minTombs+5*maxForget+1-ix.cells.Len()+1, st.floor, "the revision of the newest that went")
	}
	st := s.state.Load()
	assert.Same(t, st, s.trim(st), "and no more than that")
}
