package mysqlstore

import (
	"context"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

// S14: a transaction that meets another one runs again, three times at most.
func TestS14_Attempts(t *testing.T) {
	s := open(t, mariadbtest.Database(t))
	for _, number := range []uint16{lockWait, deadlock} {
		for failures := range 6 {
			calls := 0
			err := s.write(t.Context(), attempts, nil, func(context.Context, *transaction) error {
				if calls++; calls <= failures {
					return &mysql.MySQLError{Number: number, Message: "secret"}
				}
				return errNothing
			})
			require.Equal(t, min(failures+1, 4), calls)
			if failures < 4 {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, conf.ErrUnavailable)
				require.NotContains(t, err.Error(), "secret")
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := s.write(ctx, attempts, nil, func(context.Context, *transaction) error {
		cancel()
		return &mysql.MySQLError{Number: deadlock}
	})
	require.ErrorIs(t, err, context.Canceled, "not beyond the end of the context")
}

// S14: another session holds the counter for longer than statements wait.
func TestS14_LockWait(t *testing.T) {
	dsn := mariadbtest.Database(t)
	s := open(t, with(t, dsn, func(c *mysql.Config) { c.Params["innodb_lock_wait_timeout"] = "1" }))
	commit(t, s, put("a", "1"))
	conn := raw(t, dsn)
	exec(t, conn, "START TRANSACTION", "SELECT revision FROM diamond_counter WHERE id = 1 FOR UPDATE")
	_, err := s.Commit(t.Context(), []conf.ChangeSet{put("a", "2")})
	require.ErrorIs(t, err, conf.ErrUnavailable)
	require.NotErrorIs(t, err, conf.ErrUnknownOutcome)
	e, err := s.Read(t.Context(), key("a"), 0)
	require.NoError(t, err, "reads wait for no lock")
	require.Equal(t, "1", e.Content)
	exec(t, conn, "ROLLBACK")
	require.EqualValues(t, 2, commit(t, s, put("a", "3")).Revision)
}

// S14: a session that breaks the rule, to lock the counter first, has the
// transaction of the store rolled back: it runs again and is applied once.
func TestS14_Deadlock(t *testing.T) {
	dsn := patient(t, mariadbtest.Database(t))
	s := open(t, dsn)
	commit(t, s, put("a", "1"))
	conn, db := raw(t, dsn), mariadbtest.Connect(t, dsn)
	// The database rolls back the one that has done less.
	exec(t, conn, "CREATE TABLE work (id INT PRIMARY KEY) ENGINE=InnoDB", "START TRANSACTION")
	for i := range 200 {
		_, err := conn.ExecContext(t.Context(), "INSERT INTO work VALUES (?)", i)
		require.NoError(t, err)
	}
	exec(t, conn, "SELECT * FROM diamond_entry FOR UPDATE")
	done := make(chan error, 1)
	var result conf.Result
	go func() {
		r, err := s.Commit(t.Context(), []conf.ChangeSet{put("a", "2")})
		if err == nil {
			result = r[0]
		}
		done <- err
	}()
	waitFor(t, db, "SELECT STRAIGHT_JOIN")
	exec(t, conn, "SELECT revision FROM diamond_counter WHERE id = 1 FOR UPDATE") // no deadlock here: it is the store's
	exec(t, conn, "COMMIT")
	require.NoError(t, <-done)
	require.EqualValues(t, 2, result.Position.Revision)
	require.Len(t, whole(t, s), 2)
}
