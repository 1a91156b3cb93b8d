package mysqlstore

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

// rowsOfAll returns how many rows each table of db's database has.
func rowsOfAll(t *testing.T, db *sql.DB) map[string]int {
	t.Helper()
	rows := make(map[string]int)
	require.NoError(t, queryOn(t.Context(), db, "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()", nil,
		func(r *sql.Rows) error {
			var table string
			err := r.Scan(&table)
			rows[table] = 0
			return err
		}))
	for table := range rows {
		var n int
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n))
		rows[table] = n
	}
	return rows
}

// To plan an import says what it would do, and writes nothing: no tables where
// there are none, no counter where there are, no changes.
func TestPlanImport(t *testing.T) {
	_, from := originalDatabase(t, "utf8mb4")
	for _, id := range []string{"linna", "other", "not a key"} {
		addOriginal(t, from, id, "DEFAULT_GROUP", "x")
	}
	dsn := mariadbtest.Database(t)
	to := mariadbtest.Connect(t, dsn)
	plan := func() *ImportReport {
		t.Helper()
		before := rowsOfAll(t, to)
		_, err := PlanImport(t.Context(), from, to, ImportOptions{})
		require.ErrorIs(t, err, conf.ErrInvalid, "of the row that cannot be imported")
		r, err := PlanImport(t.Context(), from, to, ImportOptions{Skip: true})
		require.NoError(t, err)
		require.Len(t, r.Refused, 1)
		require.Equal(t, before, rowsOfAll(t, to))
		return r
	}
	require.Equal(t, 2, plan().Imported)
	require.Empty(t, rowsOfAll(t, to), "no tables")

	_, err := Migrate(t.Context(), to)
	require.NoError(t, err)
	require.Equal(t, 2, plan().Imported)
	require.Zero(t, rowsOfAll(t, to)["diamond_counter"])

	s := open(t, dsn)
	commit(t, s, put("linna", "y"))
	r := plan()
	require.Equal(t, 1, r.Imported)
	require.Equal(t, []conf.Key{key("linna")}, r.Differ)

	done, err := ImportOriginal(t.Context(), from, s, ImportOptions{Skip: true})
	require.NoError(t, err)
	require.Equal(t, r, done, "what was planned is what is done")

	exec(t, to, "INSERT INTO diamond_schema VALUES (3)")
	_, err = PlanImport(t.Context(), from, to, ImportOptions{Skip: true})
	var schema *SchemaError
	require.ErrorAs(t, err, &schema)
}

// What is too large for the servers is refused, though the database would take
// it, and the other way round.
func TestImportOriginalLimits(t *testing.T) {
	_, from := originalDatabase(t, "utf8mb4")
	dsn := mariadbtest.Database(t)
	s := open(t, dsn)
	for i, size := range []int64{conf.DefaultMaxContent, conf.DefaultMaxContent + 1} {
		exec(t, from, fmt.Sprintf("INSERT INTO config_info (data_id, group_id, content) VALUES ('k%d', 'g', REPEAT('x', %d))", i, size))
	}
	small := &planned{configured(nil), true}
	small.limits.Store(&limits{content: conf.DefaultMaxContent - 1})
	for to, imported := range map[diamond.Storage]int{s: 1, small: 0} {
		r, err := ImportOriginal(t.Context(), from, to, ImportOptions{Skip: true, DryRun: true})
		require.NoError(t, err)
		require.Equal(t, imported, r.Imported)
		require.Len(t, r.Refused, 2-imported)
		require.ErrorIs(t, r.Refused[0].Err, conf.ErrTooLarge)
	}
}
