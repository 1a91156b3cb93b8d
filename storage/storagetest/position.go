package storagetest

import (
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

func positionAtClauses() []clause {
	at := func(p *probe, revision int64) conf.Position {
		p.Helper()
		at, err := p.store.PositionAt(p.Context(), revision)
		require.NoError(p, err)
		return at
	}
	none := func(p *probe, revision int64) {
		p.Helper()
		at, err := p.store.PositionAt(p.Context(), revision)
		require.ErrorIs(p, err, conf.ErrNotFound, "revision %d", revision)
		require.Zero(p, at)
	}
	return []clause{
		{"EachSet", "PositionAt returns the position after each set of the log; above the head is ErrNotFound.", func(p *probe) {
			empty := p.head()
			require.Equal(p, empty, at(p, 0))
			none(p, 1)
			var positions []conf.Position
			for i := range 9 {
				set := put("a", "x")
				for j := range i % 3 {
					set.Drafts = append(set.Drafts, conf.Draft{Key: key([]string{"b", "c"}[j]), Content: "y"})
				}
				positions = append(positions, p.commit(set))
			}
			for i, want := range positions {
				require.Equal(p, want, at(p, int64(i+1)))
			}
			require.Equal(p, p.head(), at(p, 9))
			none(p, 10)
			none(p, 1<<62)
		}},
		{"Start", "Revision 0 is the position before the first change: with the store's id, and Changes accepts it.", func(p *probe) {
			p.commit(put("a", "x"))
			p.commit(put("a", "y"))
			start := at(p, 0)
			require.NotZero(p, start.Store)
			require.Zero(p, start.Revision)
			require.Zero(p, start.Chain)
			require.Equal(p, p.changes(conf.Position{}), p.changes(start))
		}},
		{"Gap", "A revision in the gap that a fork has left is ErrNotFound; positions before it keep their epoch.", func(p *probe) {
			first := p.commit(put("a", "x"))
			verified := first
			verified.Revision, verified.Chain = 50, conf.Chain{1}
			fork, err := p.store.Fork(p.Context(), verified)
			require.NoError(p, err)
			last := p.commit(put("a", "y"))
			require.Equal(p, first, at(p, 1))
			for _, revision := range []int64{2, 49, 50} {
				none(p, revision)
			}
			require.Equal(p, fork, at(p, 51))
			require.Equal(p, last, at(p, 52))
			none(p, 53)
		}},
	}
}
