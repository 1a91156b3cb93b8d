package memstore_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// A commit costs the same however many versions of its key the log has.
func BenchmarkCommit(b *testing.B) {
	for _, versions := range []int{1, 100_000} {
		b.Run(fmt.Sprintf("versions=%d", versions), func(b *testing.B) {
			store := memstore.New()
			defer store.Close()
			publish := func() {
				_, err := store.Commit(b.Context(), []conf.ChangeSet{{Drafts: []conf.Draft{{Key: conf.NewKey("", "a"), Content: "1"}}}})
				require.NoError(b, err)
			}
			for range versions {
				publish()
			}
			for b.Loop() {
				publish()
			}
		})
	}
}
