package mysqlstore

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

// While a dump is loaded the tables do not agree. A server that takes that for
// a loss of history must not begin an epoch that the rest of the dump undoes.
func TestForkWaitsForTablesThatAgree(t *testing.T) {
	dsn := mariadbtest.Database(t)
	s := open(t, dsn)
	var seen conf.Position
	for _, content := range []string{"1", "2", "3"} {
		seen = commit(t, s, put("a", content))
	}
	db := mariadbtest.Connect(t, dsn)
	exec := func(statement string) {
		t.Helper()
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	exec("CREATE TABLE dumped AS SELECT * FROM diamond_change WHERE revision <= 2")
	exec("CREATE TABLE dumped_counter AS SELECT * FROM diamond_counter")
	exec("UPDATE dumped_counter SET revision = 2, chain = (SELECT chain FROM dumped WHERE revision = 2), log_changes = 2, log_bytes = 2")

	exec("CREATE TABLE loaded_counter AS SELECT * FROM diamond_counter")
	exec("REPLACE INTO diamond_counter SELECT * FROM dumped_counter")
	_, err := s.Fork(t.Context(), seen)
	require.ErrorIs(t, err, conf.ErrUnavailable, "the counter alone is loaded")
	require.ErrorContains(t, err, "dump")
	exec("REPLACE INTO diamond_counter SELECT * FROM loaded_counter")

	exec("DELETE FROM diamond_change")
	_, err = s.Fork(t.Context(), conf.Position{})
	require.ErrorIs(t, err, conf.ErrUnavailable)
	require.ErrorContains(t, err, "dump")
	exec("INSERT INTO diamond_change SELECT * FROM dumped")
	_, err = s.Fork(t.Context(), conf.Position{})
	require.ErrorIs(t, err, conf.ErrUnavailable)

	exec("REPLACE INTO diamond_counter SELECT * FROM dumped_counter")
	at, err := s.Fork(t.Context(), conf.Position{})
	require.NoError(t, err)
	require.EqualValues(t, 3, at.Revision)
	require.Len(t, whole(t, s), 3)
}
