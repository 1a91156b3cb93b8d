package mysqlstore

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
	"github.com/linnaname/gdiamond/storage"
)

// The bytes that Changes is asked for bound what the database reads, however
// long the log is: a node that was away catches up.
func TestChangesReadsWhatItReturns(t *testing.T) {
	server := mariadbtest.Start(t, mariadbtest.Options{})
	s := open(t, server.Database(t))
	const n = 40
	for i := range n {
		commit(t, s, put(fmt.Sprint("k", i), strings.Repeat("x", 1<<20)))
	}
	admin := raw(t, server.DSN())
	pages := func() (n int) {
		var name string
		require.NoError(t, admin.QueryRowContext(t.Context(), "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_read_requests'").Scan(&name, &n))
		return n
	}
	cost := func(maxBytes int64, sets int) int {
		before := pages()
		b, err := s.Changes(t.Context(), conf.Position{}, maxBytes)
		require.NoError(t, err)
		require.Len(t, b.Changes, sets)
		return pages() - before
	}
	// The database has work of its own at times: the least is what it takes.
	little := min(cost(2<<20, 2), cost(2<<20, 2), cost(2<<20, 2))
	require.Less(t, little, cost(n<<20, n)/4)
}

// A node that was away reads few rows besides those that it takes over, whatever
// the sizes of the sets and though epochs began among them; and batches are as
// large as they may be.
func TestChangesFindsTheEndOfABatchFirst(t *testing.T) {
	server := mariadbtest.Start(t, mariadbtest.Options{})
	s := open(t, server.Database(t))
	var many conf.ChangeSet
	for i := range conf.MaxChanges {
		many.Drafts = append(many.Drafts, conf.Draft{Key: key(fmt.Sprint("k", i)), Content: "x"})
	}
	var few []conf.ChangeSet
	for i := range 500 {
		few = append(few, put(fmt.Sprint("k", i), "y"))
	}
	changes := 1
	for i := range 24 {
		commit(t, s, many)
		changes += many.Len()
		if i%8 == 3 {
			_, err := s.Commit(t.Context(), few)
			require.NoError(t, err)
			changes += len(few)
		}
	}
	lost, err := s.At(t.Context())
	require.NoError(t, err)
	lost.Revision, lost.Chain = lost.Revision+1_000_000, conf.Chain{1}
	_, err = s.Fork(t.Context(), lost)
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), few)
	require.NoError(t, err)
	changes += len(few)

	admin := raw(t, server.DSN())
	at, got, batches := conf.Position{}, 0, 0
	for {
		before := rowsRead(t, admin)
		b, err := s.Changes(t.Context(), at, 1<<30)
		require.NoError(t, err)
		if len(b.Changes) == 0 {
			break
		}
		require.LessOrEqual(t, len(b.Changes), storage.MaxBatch)
		require.Less(t, rowsRead(t, admin)-before, len(b.Changes)+len(b.Changes)/10+500)
		next, err := at.Follow(b.Changes)
		require.NoError(t, err)
		require.Equal(t, b.Position.Chain, next.Chain)
		at, got, batches = b.Position, got+len(b.Changes), batches+1
	}
	require.Equal(t, changes, got)
	require.LessOrEqual(t, batches, changes/(storage.MaxBatch-conf.MaxChanges)+2)
}
