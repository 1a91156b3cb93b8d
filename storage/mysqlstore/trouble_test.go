package mysqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

// S7: while the database is down, calls fail with a typed error that says that
// nothing was done; when it is back, the same store works, and has what was
// acknowledged.
func TestS7_DatabaseStoppedAndKilled(t *testing.T) {
	server := mariadbtest.Start(t, mariadbtest.Options{})
	s := open(t, server.Database(t))
	revision := commit(t, s, put("a", "0")).Revision
	for i, end := range []func(){server.Stop, server.Kill} {
		end()
		_, err := s.Commit(t.Context(), []conf.ChangeSet{put("a", "never")})
		require.ErrorIs(t, err, conf.ErrUnavailable)
		require.NotErrorIs(t, err, conf.ErrUnknownOutcome)
		_, err = s.Read(t.Context(), key("a"), 0)
		require.ErrorIs(t, err, conf.ErrUnavailable)
		_, err = s.Changes(t.Context(), conf.Position{}, 1)
		require.ErrorIs(t, err, conf.ErrUnavailable)
		require.ErrorIs(t, s.Prune(t.Context()), conf.ErrUnavailable)
		require.NoError(t, server.Start())
		e, err := s.Read(t.Context(), key("a"), 0)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(i), e.Content)
		revision++
		require.Equal(t, revision, commit(t, s, put("a", fmt.Sprint(i+1))).Revision)
	}
}

// S8: a database that does not answer holds a call for no longer than its
// context, and what became of it is settled by the request id.
func TestS8_DatabaseHangs(t *testing.T) {
	server := mariadbtest.Start(t, mariadbtest.Options{})
	s := open(t, server.Database(t))
	commit(t, s, put("a", "0"))
	require.NoError(t, server.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	set := withID(put("a", "1"), "r1")
	_, err := s.Commit(ctx, []conf.ChangeSet{set})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = s.Read(ctx, key("a"), 0)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, server.Continue())
	require.EqualValues(t, 2, commit(t, s, set).Revision)
	require.Len(t, whole(t, s), 2)
}

// asUser returns dsn for a new user with rights on its database, and none that
// let one write where it is read-only.
func asUser(t *testing.T, admin *sql.Conn, dsn, rights string) string {
	t.Helper()
	return with(t, dsn, func(c *mysql.Config) {
		for _, host := range []string{"127.0.0.1", "localhost"} {
			exec(t, admin, "CREATE USER 'plain'@'"+host+"' IDENTIFIED BY 'secret'",
				"GRANT "+rights+" ON "+c.DBName+".* TO 'plain'@'"+host+"'")
		}
		c.User, c.Passwd = "plain", "secret"
	})
}

// S12: a primary that turns read-only is told as unavailable and as read-only,
// its connections are dropped, and reads go on.
func TestS12_ReadOnly(t *testing.T) {
	server := mariadbtest.Start(t, mariadbtest.Options{})
	dsn := server.Database(t)
	open(t, dsn)
	admin := raw(t, dsn)
	plain := asUser(t, admin, dsn, "SELECT, INSERT, UPDATE, DELETE")
	// The driver's own way with such a connection is to say that it was lost.
	rejects := with(t, plain, func(c *mysql.Config) { c.RejectReadOnly = true })
	own := open(t, rejects)
	loose, err := New(t.Context(), mariadbtest.Connect(t, plain), WithLogger(quiet()))
	require.NoError(t, err)
	defer func() { require.NoError(t, loose.Close()) }()
	for i, s := range []*Store{own, loose} {
		commit(t, s, put("a", "1"))
		exec(t, admin, "SET GLOBAL read_only = 1")
		for range 3 {
			_, err := s.Commit(t.Context(), []conf.ChangeSet{put("a", "never")})
			require.ErrorIs(t, err, conf.ErrUnavailable)
			require.NotErrorIs(t, err, conf.ErrUnknownOutcome)
			require.ErrorContains(t, err, "the database is read-only (error 1290)")
			require.False(t, s.rested(), "the connection is not kept")
		}
		e, err := s.Read(t.Context(), key("a"), 0)
		require.NoError(t, err)
		require.Equal(t, "1", e.Content)
		exec(t, admin, "SET GLOBAL read_only = 0")
		require.EqualValues(t, 2*i+2, commit(t, s, put("a", "2")).Revision)
	}
}

// S12: a primary that turns read-only between a transaction's statements and its
// COMMIT has refused it for certain; and that is told though the caller's time is
// up while it is tried again.
func TestS12_ReadOnlyAtTheCommit(t *testing.T) {
	server := mariadbtest.Start(t, mariadbtest.Options{})
	dsn := server.Database(t)
	open(t, dsn)
	admin := raw(t, dsn)
	p, dsn := through(t, asUser(t, admin, dsn, "SELECT, INSERT, UPDATE, DELETE"))
	s := open(t, dsn)
	commit(t, s, put("a", "1"))
	p.at(func(sent []byte) fate {
		if isCommit(sent) {
			exec(t, admin, "SET GLOBAL read_only = 1")
		}
		return pass
	})
	_, err := s.Commit(t.Context(), []conf.ChangeSet{put("a", "never")})
	require.ErrorIs(t, err, conf.ErrUnavailable)
	require.NotErrorIs(t, err, conf.ErrUnknownOutcome)
	require.ErrorContains(t, err, "read-only")

	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	p.at(func(sent []byte) fate {
		if bytes.Contains(sent, []byte("FOR UPDATE")) {
			if tries++; tries == 2 {
				cancel()
				return swallows
			}
		}
		return pass
	})
	_, err = s.Commit(ctx, []conf.ChangeSet{put("a", "never")})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, conf.ErrUnavailable)
	require.ErrorContains(t, err, "read-only")
	p.at(nil)
	exec(t, admin, "SET GLOBAL read_only = 0")
	require.EqualValues(t, 2, commit(t, s, put("a", "2")).Revision)
}

// S12: a transaction that was refused for certain, was tried again, and did not hear
// what became of its second COMMIT may have been committed.
func TestS12_UnknownOutcomeAfterARefusal(t *testing.T) {
	server := mariadbtest.Start(t, mariadbtest.Options{})
	dsn := server.Database(t)
	direct := open(t, dsn)
	admin := raw(t, dsn)
	p, dsn := through(t, asUser(t, admin, dsn, "SELECT, INSERT, UPDATE, DELETE"))
	s := open(t, dsn)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	commits := 0
	p.at(func(sent []byte) fate {
		switch {
		case bytes.Contains(sent, []byte("FOR UPDATE")) && commits == 1:
			exec(t, admin, "SET GLOBAL read_only = 0")
		case !isCommit(sent):
		case commits == 0:
			commits++
			exec(t, admin, "SET GLOBAL read_only = 1")
		default:
			commits++
			cancel()
			return unheard
		}
		return pass
	})
	set := withID(put("a", "1"), "r")
	_, err := s.Commit(ctx, []conf.ChangeSet{set})
	p.at(nil)
	require.Equal(t, 2, commits)
	require.ErrorIs(t, err, conf.ErrUnknownOutcome)
	again, err := direct.Commit(t.Context(), []conf.ChangeSet{set})
	require.NoError(t, err)
	require.NoError(t, again[0].Err)
	require.EqualValues(t, 1, again[0].Position.Revision)
}

// S12: a schema cannot be made in a database that is read-only, and neither can
// a counter; both say so.
func TestS12_ReadOnlyFromTheStart(t *testing.T) {
	server := mariadbtest.Start(t, mariadbtest.Options{})
	dsn := server.Database(t)
	admin := raw(t, dsn)
	user := asUser(t, admin, dsn, "SELECT, INSERT, CREATE, ALTER")
	db, err := OpenDB(user, quiet())
	require.NoError(t, err)
	defer db.Close()
	exec(t, admin, "SET GLOBAL read_only = 1")
	_, err = Migrate(t.Context(), db)
	require.ErrorIs(t, err, conf.ErrUnavailable)
	require.ErrorContains(t, err, "the database is read-only (error 1290)")
	require.Zero(t, db.Stats().OpenConnections, "the connection is not kept")
	exec(t, admin, "SET GLOBAL read_only = 0")
	_, err = Migrate(t.Context(), db)
	require.NoError(t, err)
	exec(t, admin, "SET GLOBAL read_only = 1")
	_, err = New(t.Context(), db, WithLogger(quiet()))
	require.ErrorIs(t, err, conf.ErrUnavailable)
	require.ErrorContains(t, err, "the database is read-only (error 1290)")
	require.Zero(t, db.Stats().InUse)
}

// A store can start before its database, and says so until it is there.
func TestLateStart(t *testing.T) {
	server := mariadbtest.Start(t, mariadbtest.Options{})
	dsn := server.Database(t)
	server.Stop()
	_, err := Open(t.Context(), dsn, WithLogger(quiet()))
	require.ErrorIs(t, err, conf.ErrUnavailable)
	s, err := Open(t.Context(), dsn, WithLogger(quiet()), WithLateStart())
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	require.Zero(t, s.MaxContent())
	_, err = s.Commit(t.Context(), []conf.ChangeSet{put("a", "x")})
	require.ErrorIs(t, err, conf.ErrUnavailable)
	require.NoError(t, server.Start())
	_, err = s.Commit(t.Context(), []conf.ChangeSet{put("a", "x")})
	require.ErrorIs(t, err, conf.ErrUnavailable, "the schema is missing")
	var schema *SchemaError
	require.ErrorAs(t, err, &schema)
	db := mariadbtest.Connect(t, dsn)
	_, err = Migrate(t.Context(), db)
	require.NoError(t, err)
	require.EqualValues(t, 1, commit(t, s, put("a", "x")).Revision)
	require.NotZero(t, s.MaxContent())
}

// A database that accepts connections and says nothing keeps no store from
// starting late, nor a call longer than its context has.
func TestLateStartOnDatabaseThatHangs(t *testing.T) {
	server := mariadbtest.Start(t, mariadbtest.Options{})
	dsn := server.Database(t)
	_, err := Migrate(t.Context(), mariadbtest.Connect(t, dsn))
	require.NoError(t, err)
	require.NoError(t, server.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := Open(ctx, dsn, WithLogger(quiet()), WithLateStart())
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()

	s.starting <- struct{}{} // another call waits for the database
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = s.At(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	<-s.starting
	require.NoError(t, server.Continue())
	require.EqualValues(t, 1, commit(t, s, put("a", "x")).Revision)
}

// splits is a store whose reads once come from a database that is behind.
type splits struct {
	*Store
	behind atomic.Bool
	inside atomic.Int64 // fresh reads that ran in a transaction
}

func (s *splits) Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error) {
	switch {
	case conf.FreshRead(ctx):
		err := s.query(ctx, "SELECT @@in_transaction", nil, func(rows *sql.Rows) error {
			var n int64
			err := rows.Scan(&n)
			s.inside.Add(n)
			return err
		})
		if err != nil {
			return conf.Batch{}, err
		}
	case s.behind.Load():
		head := after
		head.Revision--
		return conf.Batch{Position: after, Head: head}, conf.Errorf(conf.ErrEpoch, "behind")
	}
	return s.Store.Changes(ctx, after, maxBytes)
}

// S13: where reads are split from writes and come from a database that lags, the
// feed's next look is at the one that is written: there is no loss, and no fork.
func TestS13_FreshReadsAskThePrimary(t *testing.T) {
	s := &splits{Store: open(t, mariadbtest.Database(t))}
	commit(t, s.Store, put("a", "1"))
	srv, err := diamond.NewServer(s, diamond.WithLogger(quiet()))
	require.NoError(t, err)
	defer func() { require.NoError(t, srv.Close()) }()
	s.behind.Store(true)
	require.Eventually(t, func() bool { return s.inside.Load() > 0 }, patience, time.Millisecond)
	at := commit(t, s.Store, put("a", "2"))
	require.Eventually(t, func() bool { return srv.Status().Position == at }, patience, time.Millisecond)
	for range maxOpen {
		commit(t, s.Store, put("a", "3")) // no lock is left behind
	}
}

// What an idle feed asks of the database, whatever the store has: one statement.
func TestIdleFeedIsOneStatement(t *testing.T) {
	server := mariadbtest.Start(t, mariadbtest.Options{})
	s := open(t, server.Database(t))
	for i := range 20 {
		commit(t, s, put(fmt.Sprint("k", i), strings.Repeat("x", 1000)))
	}
	at, err := s.At(t.Context())
	require.NoError(t, err)
	admin := raw(t, server.DSN())
	questions := func() (n int) {
		var name string
		require.NoError(t, admin.QueryRowContext(t.Context(), "SHOW GLOBAL STATUS LIKE 'Questions'").Scan(&name, &n))
		return n
	}
	before := questions()
	const calls = 50
	for range calls {
		b, err := s.Changes(t.Context(), at, 1<<20)
		require.NoError(t, err)
		require.Equal(t, at, b.Head)
	}
	require.LessOrEqual(t, questions()-before, calls+10, "that of this test among them")
}

// A small max_allowed_packet lowers the limit of a content, in the open; up to
// it contents are exact, alone and many together, above it they are refused.
func TestSmallPackets(t *testing.T) {
	server := mariadbtest.Start(t, mariadbtest.Options{Args: []string{"--max-allowed-packet=1M"}})
	var log strings.Builder
	dsn := server.Database(t)
	s := open(t, dsn, WithLogger(textLogger(&log)))
	limit := s.MaxContent()
	require.Less(t, limit, int64(1<<20))
	require.Greater(t, limit, int64(900<<10))
	require.Contains(t, log.String(), fmt.Sprint(limit))
	for i, s := range []*Store{s, open(t, with(t, dsn, func(c *mysql.Config) { c.MaxAllowedPacket = 64 << 20 }))} {
		awkward := strings.Repeat("\x00'\\\n", int(limit)/4) // twice as long in the text of a statement
		var sets []conf.ChangeSet
		for j := range 5 {
			sets = append(sets, put(fmt.Sprint("k", j), awkward+strings.Repeat("x", int(limit)%4)), put(fmt.Sprint("half", j), awkward[:limit/2]))
		}
		sets = append(sets, put("large", strings.Repeat("x", int(limit)+1)))
		r, err := s.Commit(t.Context(), sets)
		require.NoError(t, err)
		for j := range r[:10] {
			require.NoError(t, r[j].Err)
		}
		require.ErrorIs(t, r[10].Err, conf.ErrTooLarge, "and the others are committed")
		e, err := s.Read(t.Context(), key("k4"), 0)
		require.NoError(t, err)
		require.EqualValues(t, limit, e.Size)
		require.Len(t, whole(t, s), 10*(i+1))
	}
}

// Errors name neither the user's password nor a content.
func TestINV12_ErrorsKeepSecrets(t *testing.T) {
	dsn := mariadbtest.Database(t)
	s := open(t, dsn)
	var errs []error
	note := func(_ any, err error) {
		require.Error(t, err)
		errs = append(errs, err)
	}
	note(Open(t.Context(), with(t, dsn, func(c *mysql.Config) { c.Passwd = "canary" }), WithLogger(quiet())))
	note(Open(t.Context(), with(t, dsn, func(c *mysql.Config) { c.User, c.Passwd = "nobody", "canary" }), WithLogger(quiet())))
	note(Open(t.Context(), with(t, dsn, func(c *mysql.Config) { c.DBName, c.Passwd = "missing", "canary" }), WithLogger(quiet())))
	note(Open(t.Context(), with(t, dsn, func(c *mysql.Config) { c.Addr, c.Passwd = "127.0.0.1:1", "canary" }), WithLogger(quiet())))
	note(Open(t.Context(), "user:canary@tcp(127.0.0.1", WithLogger(quiet())))
	note(Open(t.Context(), "user:canary@tcp(127.0.0.1)", WithLogger(quiet())))
	note(Open(t.Context(), "user:canary@tcp(127.0.0.1)/db?tls=canary", WithLogger(quiet())))
	note(Open(t.Context(), "user:canary@tcp(127.0.0.1)/", WithLogger(quiet())))
	note(nil, s.write(t.Context(), 1, nil, func(ctx context.Context, tx *transaction) error {
		return tx.exec(ctx, "INSERT INTO diamond_schema (version) VALUES (?)", []byte("canary"))
	}))
	note(nil, s.write(t.Context(), 1, nil, func(ctx context.Context, tx *transaction) error {
		return tx.exec(ctx, "not SQL, canary ?", 1)
	}))
	note(nil, s.write(t.Context(), 1, nil, func(ctx context.Context, tx *transaction) error {
		return tx.exec(ctx, "UPDATE diamond_counter SET epoch = ?", []byte(strings.Repeat("canary", 10)))
	}))
	for _, err := range errs {
		require.NotContains(t, err.Error(), "canary")
		var known *conf.Error
		require.ErrorAs(t, err, &known, "%v", err)
		require.True(t, errors.Is(err, conf.ErrUnavailable) || errors.Is(err, conf.ErrInvalid) || errors.Is(err, conf.ErrTooLarge), "%v", err)
		t.Log(err)
	}
}
