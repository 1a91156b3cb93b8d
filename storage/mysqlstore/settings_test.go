package mysqlstore

import (
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

// Settings that would break a promise are refused at the start.
func TestSettingsRefused(t *testing.T) {
	dsn := mariadbtest.Database(t)
	open(t, dsn)
	var isolation, is string // its name is not the same everywhere
	require.NoError(t, mariadbtest.Connect(t, dsn).QueryRowContext(t.Context(), "SHOW VARIABLES WHERE Variable_name LIKE 't%_isolation'").Scan(&isolation, &is))
	for name, value := range map[string]string{"autocommit": "0", isolation: "'READ-UNCOMMITTED'"} {
		db := mariadbtest.Connect(t, with(t, dsn, func(c *mysql.Config) { c.Params[name] = value }))
		_, err := New(t.Context(), db, WithLogger(quiet()))
		require.ErrorIs(t, err, diamond.ErrInvalid, name)
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
