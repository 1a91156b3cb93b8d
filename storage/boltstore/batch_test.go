package boltstore

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage"
)

// A batch is bounded in changes, however small these are.
func TestBatchesAreBoundedInChanges(t *testing.T) {
	s := open(t, t.TempDir())
	for i := range storage.MaxBatch/diamond.MaxChanges + 1 {
		var set diamond.ChangeSet
		for j := range diamond.MaxChanges {
			set.Drafts = append(set.Drafts, diamond.Draft{Key: diamond.NewKey("", fmt.Sprint(i, ".", j)), Content: "x"})
		}
		_, err := s.Commit(t.Context(), []diamond.ChangeSet{set})
		require.NoError(t, err)
	}
	b, err := s.Changes(t.Context(), diamond.Position{}, 1<<40)
	require.NoError(t, err)
	require.Len(t, b.Changes, storage.MaxBatch)
	b, err = s.Changes(t.Context(), b.Position, 1<<40)
	require.NoError(t, err)
	require.Len(t, b.Changes, diamond.MaxChanges)
	require.Equal(t, b.Head, b.Position)
}
