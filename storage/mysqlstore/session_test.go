package mysqlstore

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

// What a busy session sets is not met by others who use the pool.
func TestSessionLeavesThePoolAsItWas(t *testing.T) {
	db, err := OpenDB(mariadbtest.Database(t), slog.Default())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s, err := New(t.Context(), db, WithMigrate())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	connection := func() (id int64) {
		s.writing <- struct{}{}
		defer func() { <-s.writing }()
		require.NoError(t, s.session.conn.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&id))
		return id
	}
	commit(t, s, put("a", "first"))
	first := connection()
	for i := range 3 * sessionBusy {
		commit(t, s, put("a", fmt.Sprint(i)))
	}
	require.Equal(t, first, connection(), "one session")
	require.True(t, s.rested())
	for range db.Stats().MaxOpenConnections { // each connection that there is
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, conn.Close()) })
		var id int64
		var autocommit bool
		require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT CONNECTION_ID(), @@autocommit").Scan(&id, &autocommit))
		require.NotEqual(t, first, id)
		require.True(t, autocommit)
	}
}

// A transaction that a busy session gave up leaves no lock behind.
func TestBusySessionLetsGoOfLocks(t *testing.T) {
	dsn := mariadbtest.Database(t)
	s := open(t, dsn)
	for i := range 2 * sessionBusy {
		commit(t, s, put("a", fmt.Sprint(i)))
	}
	r, err := s.Commit(t.Context(), []diamond.ChangeSet{{Deletes: []diamond.Delete{{Key: key("never")}}}})
	require.NoError(t, err)
	require.ErrorIs(t, r[0].Err, diamond.ErrNotFound)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var n int64
	require.NoError(t, mariadbtest.Connect(t, dsn).QueryRowContext(ctx, "SELECT revision FROM diamond_counter WHERE id = 1 FOR UPDATE").Scan(&n))
	require.EqualValues(t, 2*sessionBusy, n)
}
