package mysqlstore

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
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
		b, err := s.Changes(t.Context(), diamond.Position{}, maxBytes)
		require.NoError(t, err)
		require.Len(t, b.Changes, sets)
		return pages() - before
	}
	// The database has work of its own at times: the least is what it takes.
	little := min(cost(2<<20, 2), cost(2<<20, 2), cost(2<<20, 2))
	require.Less(t, little, cost(n<<20, n)/4)
}
