package boltstore

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// A page of a history costs what it returns, however many versions are newer.
func TestHistory_APageCostsWhatItReturns(t *testing.T) {
	s, err := Open(t.TempDir())
	require.NoError(t, err)
	defer s.Close()
	const n = 2000
	sets := make([]conf.ChangeSet, n)
	for i := range sets {
		sets[i] = put("a", fmt.Sprint(i))
	}
	_, err = s.Commit(t.Context(), sets)
	require.NoError(t, err)
	for before, want := range map[int64]int64{3: 2, n: n - 1, n + 1: n} {
		changes, err := s.History(t.Context(), key("a"), before, 1)
		require.NoError(t, err)
		require.Len(t, changes, 1)
		require.Equal(t, want, changes[0].Revision)
	}
	allocs := testing.AllocsPerRun(5, func() { _, _ = s.History(t.Context(), key("a"), 3, 1) })
	require.Less(t, allocs, float64(n/4), "the newer versions were read")
}
