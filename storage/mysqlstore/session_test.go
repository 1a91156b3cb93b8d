package mysqlstore

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

// restless has s keep its session, however long a machine that is slow takes to
// use it again.
func restless(s *Store) {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	s.resting.Stop()
	s.resting = time.NewTimer(time.Hour)
}

// What a busy session sets is not met by others who use the pool.
func TestSessionLeavesThePoolAsItWas(t *testing.T) {
	db, err := OpenDB(mariadbtest.Database(t), slog.Default())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s, err := New(t.Context(), db, WithMigrate())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	restless(s)
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
	restless(s)
	for i := range 2 * sessionBusy {
		commit(t, s, put("a", fmt.Sprint(i)))
	}
	session := s.session // nobody else uses it
	r, err := s.Commit(t.Context(), []conf.ChangeSet{{Deletes: []conf.Delete{{Key: key("never")}}}})
	require.NoError(t, err)
	require.ErrorIs(t, r[0].Err, conf.ErrNotFound)
	s.writing <- struct{}{}
	require.Same(t, session, s.session, "it goes on")
	<-s.writing
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var n int64
	require.NoError(t, mariadbtest.Connect(t, dsn).QueryRowContext(ctx, "SELECT revision FROM diamond_counter WHERE id = 1 FOR UPDATE").Scan(&n))
	require.EqualValues(t, 2*sessionBusy, n)
}

// A session that could not be set up is not used: its statements would commit
// one by one.
func TestSessionTunedByHalf(t *testing.T) {
	p, dsn := through(t, mariadbtest.Database(t))
	s := open(t, dsn)
	restless(s)
	refused := false
	p.at(func(sent []byte) fate {
		if i := bytes.Index(sent, []byte("SET autocommit = 0")); i >= 0 && !refused {
			refused = true
			copy(sent[i:], "SET autocommit = x") // which the database refuses, and goes on
		}
		return pass
	})
	failed := 0
	for i := range 3 * sessionBusy {
		r, err := s.Commit(t.Context(), []conf.ChangeSet{put("a", fmt.Sprint(i))})
		if err != nil {
			require.ErrorIs(t, err, conf.ErrUnavailable)
			failed++
			continue
		}
		require.EqualValues(t, i+1-failed, r[0].Position.Revision)
		s.writing <- struct{}{}
		if s.session.tuned {
			var autocommit bool
			require.NoError(t, s.session.conn.QueryRowContext(t.Context(), "SELECT @@autocommit").Scan(&autocommit))
			require.False(t, autocommit)
		}
		<-s.writing
	}
	require.Equal(t, 1, failed)
	require.Len(t, whole(t, s), 3*sessionBusy-1)
}
