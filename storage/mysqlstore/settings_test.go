package mysqlstore

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
	"github.com/linnaname/gdiamond/storage"
)

// Settings that would break a promise are refused at the start.
func TestSettingsRefused(t *testing.T) {
	dsn := mariadbtest.Database(t)
	open(t, dsn)
	var isolation, is string // its name is not the same everywhere
	require.NoError(t, mariadbtest.Connect(t, dsn).QueryRowContext(t.Context(), "SHOW VARIABLES WHERE Variable_name LIKE 't%_isolation'").Scan(&isolation, &is))
	for name, value := range map[string]string{
		"autocommit": "0", isolation: "'READ-UNCOMMITTED'", "sql_select_limit": "1", "unique_checks": "0",
		"completion_type": "1", "sql_safe_updates": "1", "sql_big_selects": "0", strings.Replace(isolation, "isolation", "read_only", 1): "1",
	} {
		db := mariadbtest.Connect(t, with(t, dsn, func(c *mysql.Config) { c.Params[name] = value }))
		_, err := New(t.Context(), db, WithLogger(quiet()))
		require.ErrorIs(t, err, conf.ErrInvalid, name)
		require.ErrorContains(t, err, name)
	}
}

// What Open sets holds whatever the DSN says.
func TestOpenSets(t *testing.T) {
	dsn := with(t, mariadbtest.Database(t), func(c *mysql.Config) {
		c.Params["sql_mode"], c.Params["autocommit"], c.Params["wait_timeout"] = "''", "0", "77"
		c.MultiStatements, c.ParseTime, c.MaxAllowedPacket = true, true, 5000
	})
	s := open(t, dsn)
	commit(t, s, put("a", string(make([]byte, 10<<20))))
	var mode, charset string
	var autocommit, wait, lockWait int
	require.NoError(t, s.db.QueryRowContext(t.Context(),
		"SELECT @@sql_mode, @@character_set_client, @@autocommit, @@wait_timeout, @@innodb_lock_wait_timeout").Scan(&mode, &charset, &autocommit, &wait, &lockWait))
	require.Contains(t, mode, "STRICT_ALL_TABLES")
	require.Equal(t, "binary", charset)
	require.Equal(t, []int{1, 77, 3}, []int{autocommit, wait, lockWait})
	_, err := s.db.ExecContext(t.Context(), "DO 1; DO 2")
	require.Error(t, err)
}

// Whatever the database's defaults are for the settings of a session, a store
// that sets its own keeps its promises.
func TestDefaultsOfTheDatabaseTurnedTheOtherWay(t *testing.T) {
	server := mariadbtest.Start(t, mariadbtest.Options{})
	dsn := server.Database(t)
	admin := raw(t, server.DSN())
	exec(t, admin, "SET GLOBAL autocommit = 0", "SET GLOBAL sql_select_limit = 1", "SET GLOBAL unique_checks = 0",
		"SET GLOBAL completion_type = 1", "SET GLOBAL sql_safe_updates = 1", "SET GLOBAL sql_big_selects = 0", "SET GLOBAL max_join_size = 2",
		"SET GLOBAL sql_mode = 'ANSI,PAD_CHAR_TO_FULL_LENGTH,NO_BACKSLASH_ESCAPES'", "SET GLOBAL time_zone = '+09:00'",
		"SET GLOBAL tx_isolation = 'SERIALIZABLE'", "SET GLOBAL innodb_lock_wait_timeout = 1", "SET GLOBAL character_set_server = 'ucs2'",
		"SET GLOBAL sql_auto_is_null = 1", "SET GLOBAL div_precision_increment = 0")
	s := open(t, dsn, WithRetention(storage.Retention{Age: time.Nanosecond, Versions: 2, Changes: 5}))
	odd := "it's \\ \"odd\" \x00 \xff läuft  "
	for i := range 2 * sessionBusy { // a session's way to begin a transaction changes in between
		set := withID(put(fmt.Sprint("k", i%3), odd+fmt.Sprint(i)), fmt.Sprint("r", i))
		first := commit(t, s, set)
		r, err := s.Commit(t.Context(), []conf.ChangeSet{set})
		require.NoError(t, err)
		require.True(t, r[0].Replayed)
		require.Equal(t, first, r[0].Position)
	}
	require.Len(t, whole(t, s), 2*sessionBusy)
	page, err := s.Scan(t.Context(), conf.ScanRequest{Limit: 100, Contents: true})
	require.NoError(t, err)
	require.Len(t, page.Entries, 3)
	require.Equal(t, odd+fmt.Sprint(2*sessionBusy-1), page.Entries[0].Content)
	require.NoError(t, s.Prune(t.Context()))
	b, err := s.Changes(t.Context(), conf.Position{}, 1)
	require.ErrorIs(t, err, conf.ErrCompacted)
	replica := open(t, server.Database(t))
	require.NoError(t, replica.Install(t.Context(), b.Head, func(yield func(conf.Entry, error) bool) {
		for _, e := range page.Entries {
			if !yield(e, nil) {
				return
			}
		}
	}))
	copied, err := replica.Scan(t.Context(), conf.ScanRequest{Limit: 100, Contents: true})
	require.NoError(t, err)
	require.Equal(t, page.Entries, copied.Entries)
}

// A parameter of the DSN that the database does not take is told as one.
func TestParametersThatTheDatabaseRefuses(t *testing.T) {
	dsn := mariadbtest.Database(t)
	for parameter, says := range map[string]string{
		"no_such_variable=1": "does not know a variable", "sql_mode2=%27%27": "does not know a variable", "tx_isolation=%27ODD%27": "refuses the value",
		"wait_timeout=%27long%27": "wrong type", "version=%271%27": "cannot be set", "max_connections=1": "is a global one", "time_zone=%27Mars%27": "time zone",
	} {
		_, err := Open(t.Context(), dsn+string("?&"[min(strings.Count(dsn, "?"), 1)])+parameter, WithLogger(quiet()))
		require.ErrorIs(t, err, conf.ErrUnavailable, parameter)
		require.ErrorContains(t, err, says, parameter)
		require.ErrorContains(t, err, "DSN", parameter)
	}
}

// Every number that has words has some that are more than that it failed, and
// that name no content.
func TestErrorsSayWhatToChange(t *testing.T) {
	for n, c := range classes {
		require.NotContains(t, c.detail, "the database failed", n)
		require.Greater(t, len(c.detail), 15, n)
		require.False(t, strings.HasSuffix(c.detail, "."), n)
	}
	require.False(t, slices.ContainsFunc([]uint16{1193, 1231, 1232, 1238, 1229, 1298, 1290, 1045, 1049, 1146}, func(n uint16) bool {
		_, known := classes[n]
		return !known
	}))
}

// A pool of few connections is not held on to, and is the caller's to close.
func TestSmallPool(t *testing.T) {
	db := mariadbtest.Connect(t, mariadbtest.Database(t))
	db.SetMaxOpenConns(1)
	s, err := New(t.Context(), db, WithMigrate(), WithLogger(quiet()))
	require.NoError(t, err)
	for range 3 {
		at := commit(t, s, put("a", "x"))
		b, err := s.Changes(t.Context(), at, 1)
		require.NoError(t, err)
		require.Equal(t, at, b.Head)
		require.False(t, s.rested(), "a connection is kept from a pool that has no more")
	}
	require.NoError(t, s.Close())
	require.NoError(t, db.PingContext(t.Context()))
}

// A session is given back when nothing is written.
func TestSessionRests(t *testing.T) {
	s := open(t, mariadbtest.Database(t))
	commit(t, s, put("a", "x"))
	require.Eventually(t, func() bool { return s.db.Stats().InUse == 0 }, patience, 1e6)
	commit(t, s, put("a", "y"))
}
