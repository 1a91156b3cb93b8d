package mysqlstore

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

func TestMigrate(t *testing.T) {
	dsn := mariadbtest.Database(t)
	db := mariadbtest.Connect(t, dsn)
	var schema *SchemaError
	_, err := New(t.Context(), db, WithLogger(quiet()))
	require.ErrorAs(t, err, &schema)
	require.ErrorIs(t, err, conf.ErrUnavailable)
	require.Equal(t, SchemaError{Have: 0, Want: 2}, *schema)
	require.ErrorContains(t, err, "gdiamond migrate")
	pending, err := Pending(t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, []string{"0001_start.sql", "0002_marked.sql"}, pending)

	// Of many at once, one does it.
	const n = 8
	applied, errs := make([][]string, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { applied[i], errs[i] = Migrate(t.Context(), db) })
	}
	wg.Wait()
	times := 0
	for i := range n {
		require.NoError(t, errs[i])
		times += len(applied[i])
	}
	require.Equal(t, 2, times)
	pending, err = Pending(t.Context(), db)
	require.NoError(t, err)
	require.Empty(t, pending)

	// Stores that start at once have one counter.
	stores := make([]*Store, n)
	for i := range n {
		wg.Go(func() { stores[i], errs[i] = New(t.Context(), db, WithLogger(quiet())) })
	}
	wg.Wait()
	for i := range n {
		require.NoError(t, errs[i])
		require.EqualValues(t, i+1, commit(t, stores[i], put("a", "x")).Revision)
		require.NoError(t, stores[i].Close())
	}

	exec(t, db, "INSERT INTO diamond_schema VALUES (3)")
	_, err = New(t.Context(), db, WithLogger(quiet()))
	require.ErrorAs(t, err, &schema)
	require.Equal(t, SchemaError{Have: 3, Want: 2}, *schema)
	_, err = Migrate(t.Context(), db)
	require.ErrorAs(t, err, &schema)
	_, err = Pending(t.Context(), db)
	require.ErrorAs(t, err, &schema)
}

// What Print prints is what a database administrator can run, also twice.
func TestPrint(t *testing.T) {
	var b strings.Builder
	require.NoError(t, Print(&b))
	dsn := mariadbtest.Database(t)
	db := mariadbtest.Connect(t, dsn)
	m := migration{sql: b.String()}
	require.Len(t, m.statements(), 12)
	for range 2 {
		exec(t, db, m.statements()...)
	}
	s, err := New(t.Context(), db, WithLogger(quiet()))
	require.NoError(t, err)
	require.NoError(t, s.Close())
	for _, engine := range strings.Split(b.String(), "CREATE TABLE")[1:] {
		require.Contains(t, engine, "ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET binary;")
	}
}

// A migration that was interrupted is done again.
func TestMigrateAgain(t *testing.T) {
	db := mariadbtest.Connect(t, mariadbtest.Database(t))
	all, err := allMigrations()
	require.NoError(t, err)
	exec(t, db, all[0].statements()...)
	exec(t, db, all[1].statements()[:5]...)
	applied, err := Migrate(t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, []string{"0002_marked.sql"}, applied)
}
