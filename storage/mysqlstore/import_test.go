package mysqlstore

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// original makes a database as an original gdiamond has it.
func originalDatabase(t *testing.T, charset string) (string, *sql.DB) {
	dsn := mariadbtest.Database(t, "CHARACTER SET "+charset)
	db := mariadbtest.Connect(t, dsn)
	exec(t, db, `CREATE TABLE config_info (
		id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, data_id VARCHAR(255) NOT NULL DEFAULT '', group_id VARCHAR(128) NOT NULL DEFAULT '',
		content LONGTEXT NOT NULL, md5 VARCHAR(32) NOT NULL DEFAULT '',
		gmt_create DATETIME NOT NULL DEFAULT '2010-05-05 00:00:00', gmt_modified DATETIME NOT NULL DEFAULT '2010-05-05 00:00:00',
		PRIMARY KEY (id), UNIQUE KEY uk_config_datagroup (data_id, group_id))`)
	return dsn, db
}

func addOriginal(t *testing.T, db *sql.DB, dataID, group, content string) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), "INSERT INTO config_info (data_id, group_id, content, md5) VALUES (?, ?, ?, ?)",
		dataID, group, content, conf.MD5Hex(content))
	require.NoError(t, err)
}

func checksum(t *testing.T, db *sql.DB) (sum string) {
	t.Helper()
	var table string
	require.NoError(t, db.QueryRowContext(t.Context(), "CHECKSUM TABLE config_info").Scan(&table, &sum))
	return sum
}

func TestImportOriginal(t *testing.T) {
	for _, charset := range []string{"utf8", "utf8mb4", "latin1"} {
		t.Run(charset, func(t *testing.T) {
			dsn, db := originalDatabase(t, charset)
			contents := map[string]string{"linna": "helloWorld", "empty": "", "uml": "grün\r\n ", "large": strings.Repeat("läuft ", 200_000)}
			for _, id := range []string{"linna", "empty", "uml", "large"} {
				addOriginal(t, db, id, "DEFAULT_GROUP", contents[id])
			}
			before := checksum(t, db)
			s := open(t, dsn) // in the same database, beside the original's table
			r, err := ImportOriginal(t.Context(), db, s, ImportOptions{DryRun: true})
			require.NoError(t, err)
			require.Equal(t, &ImportReport{Imported: 4}, r)
			require.Empty(t, whole(t, s))

			r, err = ImportOriginal(t.Context(), db, s, ImportOptions{})
			require.NoError(t, err)
			require.Equal(t, &ImportReport{Imported: 4}, r)
			for id, content := range contents {
				e, err := s.Read(t.Context(), key(id), 0)
				require.NoError(t, err)
				require.True(t, e.Content == content, id)
			}
			changes := whole(t, s)
			require.Equal(t, key("linna"), changes[0].Key)
			require.Equal(t, "imported from config_info, row 1, modified 2010-05-05 00:00:00", changes[0].Comment)

			// Again: what is there stays, whatever became of it meanwhile.
			commit(t, s, put("uml", "changed"))
			commit(t, s, conf.ChangeSet{Deletes: []conf.Delete{{Key: key("linna")}}})
			addOriginal(t, db, "late", "g", "x")
			r, err = ImportOriginal(t.Context(), db, s, ImportOptions{})
			require.NoError(t, err)
			require.Equal(t, &ImportReport{Imported: 1, Present: 4, Differ: []conf.Key{key("linna"), key("uml")}}, r)
			require.Len(t, whole(t, s), 7)
			_, err = db.ExecContext(t.Context(), "DELETE FROM config_info WHERE data_id = 'late'")
			require.NoError(t, err)
			require.Equal(t, before, checksum(t, db), "the original's table is untouched")
		})
	}
}

// What keys may not be is listed, and nothing is imported unless it is to be skipped.
func TestImportOriginalRefused(t *testing.T) {
	_, db := originalDatabase(t, "utf8mb4")
	for _, name := range []string{"good", "with space", "schlüssel", "a/b", "..", ""} {
		addOriginal(t, db, name, "g", "x")
	}
	addOriginal(t, db, "twice", "", "x")
	addOriginal(t, db, "twice", "DEFAULT_GROUP", "x")
	addOriginal(t, db, "large", "g", strings.Repeat("x", 101))
	s := memstore.New()
	defer s.Close()
	r, err := ImportOriginal(t.Context(), db, s, ImportOptions{MaxContent: 100})
	require.ErrorIs(t, err, conf.ErrInvalid)
	var refused []string
	for _, row := range r.Refused {
		refused = append(refused, row.DataID)
		require.Error(t, row.Err)
	}
	require.Equal(t, []string{"with space", "schlüssel", "a/b", "..", "", "twice", "large"}, refused)
	require.ErrorIs(t, r.Refused[6].Err, conf.ErrTooLarge)
	page, err := s.Scan(t.Context(), conf.ScanRequest{Limit: 1})
	require.NoError(t, err)
	require.Empty(t, page.Entries, "nothing was imported")

	r, err = ImportOriginal(t.Context(), db, s, ImportOptions{MaxContent: 100, Skip: true})
	require.NoError(t, err)
	require.Equal(t, 2, r.Imported)
	require.Len(t, r.Refused, 7)
}

// Many rows go in several transactions, through any kind of connection.
func TestImportOriginalMany(t *testing.T) {
	dsn, db := originalDatabase(t, "utf8")
	var rows []string
	for i := range 2*importRows + 7 {
		rows = append(rows, fmt.Sprintf("('k%d', 'g', 'content %d')", i, i))
	}
	exec(t, db, "INSERT INTO config_info (data_id, group_id, content) VALUES "+strings.Join(rows, ","))
	from := mariadbtest.Connect(t, with(t, dsn, func(c *mysql.Config) { c.ParseTime, c.InterpolateParams = true, true }))
	s := open(t, dsn)
	r, err := ImportOriginal(t.Context(), from, s, ImportOptions{})
	require.NoError(t, err)
	require.Equal(t, len(rows), r.Imported)
	require.Len(t, whole(t, s), len(rows))
	_, err = ImportOriginal(t.Context(), mariadbtest.Connect(t, mariadbtest.Database(t)), s, ImportOptions{})
	require.ErrorIs(t, err, conf.ErrUnavailable, "there is no such table")
	require.ErrorContains(t, err, "config_info", "it is not our schema that is missing")
}
