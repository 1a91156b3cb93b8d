package mysqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/failpoint"
)

const (
	// attempts is how often a transaction runs at most: once, and three times
	// more where it met another one.
	attempts = 4
	// retryPause is about how long it waits before.
	retryPause = 20 * time.Millisecond
	// rollbackTime bounds the end of a transaction that is given up.
	rollbackTime = 3 * time.Second
)

// errNothing is returned by the function given to [Store.write] when there is
// nothing to commit.
var errNothing = errors.New("nothing to write")

// transaction is one that writes. It holds the lock of the counter.
type transaction struct {
	conn    *sql.Conn
	altered bool // the session is not as the pool expects it
	*limits
	counter
}

// write runs fn in a transaction that holds the counter, and commits it. Where
// it met another transaction or lost its connection before it was to be
// committed, it was rolled back: then it runs again, up to times times in all.
func (s *Store) write(ctx context.Context, times int, fn func(context.Context, *transaction) error) error {
	done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	for n := 1; ; n++ {
		err = s.transact(ctx, fn)
		if err == nil || n == times || !again(err) || pause(ctx) != nil {
			return failure(ctx, err)
		}
	}
}

func (s *Store) transact(ctx context.Context, fn func(context.Context, *transaction) error) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it goes back to the pool, or is dropped already
	t := &transaction{conn: conn, limits: s.limits.Load()}
	if err = t.begin(ctx); err == nil {
		err = fn(ctx, t)
	}
	if err == nil {
		err = ended(ctx) // nothing of a COMMIT was sent
	}
	if err != nil {
		t.rollback(ctx, err)
		if errors.Is(err, errNothing) {
			return nil
		}
		return err
	}
	failpoint.Hit("mysqlstore.beforeCommit")
	// Not by database/sql's Tx: the end of ctx must end this too.
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		drop(conn)
		if isDeadlock(err) { // a cluster's way to say that it was rolled back
			return err
		}
		return uncertain{err}
	}
	if t.altered {
		drop(conn)
	}
	return nil
}

// begin starts the transaction and locks the counter. That is its first
// statement, and each later one sees all that was committed before: so no
// revision is ever given out of order, whatever the isolation of the connection.
func (t *transaction) begin(ctx context.Context) error {
	for _, statement := range []string{"SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION"} {
		if _, err := t.conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	fields, filled := t.fields()
	err := t.conn.QueryRowContext(ctx, "SELECT "+counterColumns+" FROM diamond_counter WHERE id = 1 FOR UPDATE").Scan(fields...)
	if errors.Is(err, sql.ErrNoRows) {
		return diamond.Errorf(diamond.ErrCorrupt, "the row of diamond_counter is missing")
	}
	if err != nil {
		return err
	}
	return filled()
}

// rollback ends a transaction that failed with err. A connection that cannot
// say so is dropped, which ends it too.
func (t *transaction) rollback(ctx context.Context, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	if _, failed := t.conn.ExecContext(ctx, "ROLLBACK"); failed != nil || t.altered || useless(err) {
		drop(t.conn)
	}
}

// drop has the pool close conn instead of using it again.
func drop(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

func (t *transaction) exec(ctx context.Context, statement string, args ...any) error {
	_, err := t.conn.ExecContext(ctx, statement, args...)
	return err
}

func (t *transaction) query(ctx context.Context, statement string, args []any, each func(*sql.Rows) error) error {
	return queryOn(ctx, t.conn, statement, args, each)
}
