package engine

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/sortedlist"
)

// numbered returns an index of n keys, each published at revision 1, but as change
// says.
func numbered(n int, change func(i int, r *record)) *index {
	cells := make([]*cell, n)
	for i := range cells {
		r := testRecord(fmt.Sprintf("%06d", i), 1, "x")
		change(i, r)
		cells[i] = cellOf(r)
	}
	return &index{order: sortedlist.Collect(compareCells, cells)}
}

// listingOf returns a list of all that an index has, as of revision 1.
func listingOf(ix *index, limit int) *listing {
	scan := conf.ScanRequest{Namespace: conf.DefaultNamespace, Limit: limit}
	return &listing{scan: scan, st: &state{index: ix, position: positionAt(1)}, cells: ix.order.Snapshot()}
}

// A list that finds nothing gives others a turn, and then continues where it was.
func TestListsWalkInTurns(t *testing.T) {
	const n = 3*listTurn + 1
	l := listingOf(numbered(n, func(i int, r *record) { r.deleted = i < n-1 }), 10)
	for range 3 {
		require.False(t, l.turn())
		require.Empty(t, l.found)
		require.False(t, l.more)
	}
	require.True(t, l.turn())
	require.Len(t, l.found, 1)
	assert.Equal(t, fmt.Sprintf("%06d", n-1), l.found[0].Key.DataID)
	assert.False(t, l.more)
}

// A page that has something ends with its turn, and says that there may be more.
func TestListsEndAPageWithTheirTurn(t *testing.T) {
	l := listingOf(numbered(2*listTurn, func(i int, r *record) { r.deleted = i > 0 }), 10)
	assert.False(t, l.turn())
	assert.Len(t, l.found, 1)
	assert.True(t, l.more)
}

// A key whose tombstone was dropped before the walk began cannot be distinguished from one
// that never existed. So the page is not of the state with which it was begun.
func TestListsAreNotOfAForgottenPast(t *testing.T) {
	cfg := DefaultConfig()
	s := newEngine(t.Context(), nil, &cfg)
	scan := conf.ScanRequest{Namespace: conf.DefaultNamespace, Limit: 10}
	past := &state{index: newIndex(nil), position: positionAt(2)}
	for floor, right := range map[int64]bool{0: true, 2: true, 3: false} {
		s.served.state.Store(&state{index: past.index, position: positionAt(5), floor: floor})
		l, ok, err := s.reads.listAsOf(t.Context(), past, scan)
		require.NoError(t, err)
		assert.Empty(t, l.found)
		assert.Equal(t, right, ok, "floor %d", floor)
	}
}

// A page ends before a key that has changed since its position. If that is the first key,
// there is no answer yet.
func TestListsAreCutAtAChangedKey(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		changed := func(at int) *listing {
			l := listingOf(numbered(10, func(i int, r *record) {
				if i == at {
					r.Revision, r.deleted = 2, deleted
				}
			}), 10)
			assert.True(t, l.turn())
			return l
		}
		l := changed(4)
		assert.Len(t, l.found, 4)
		assert.True(t, l.more)
		assert.False(t, l.overtaken)
		l = changed(0)
		assert.Empty(t, l.found)
		assert.False(t, l.more)
		assert.True(t, l.overtaken)
	}
}
