package mysqlstore

import (
	"context"
	"database/sql"
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
	*session
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
	session, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	t := &transaction{session: session, limits: s.limits.Load()}
	good := false
	defer func() { s.release(good && !t.altered) }()
	if err = t.begin(ctx); err == nil {
		err = fn(ctx, t)
	}
	if err == nil {
		err = ended(ctx) // nothing of a COMMIT was sent
	}
	if err != nil {
		good = t.rollback(ctx) && !useless(err)
		if errors.Is(err, errNothing) {
			return nil
		}
		return err
	}
	failpoint.Hit("mysqlstore.beforeCommit")
	// Not by database/sql's Tx: the end of ctx must end this too.
	if err := t.exec(ctx, "COMMIT"); err != nil {
		if isDeadlock(err) { // a cluster's way to say that it was rolled back
			return err
		}
		return uncertain{err}
	}
	good = true
	return nil
}

// begin starts the transaction and locks the counter. That is its first
// statement, and each later one sees all that was committed before: so no
// revision is ever given out of order, whatever the isolation of the connection.
func (t *transaction) begin(ctx context.Context) error {
	for _, statement := range []string{"SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION"} {
		if err := t.exec(ctx, statement); err != nil {
			return err
		}
	}
	found := false
	err := t.query(ctx, "SELECT "+counterColumns+" FROM diamond_counter WHERE id = 1 FOR UPDATE", nil, func(rows *sql.Rows) error {
		found = true
		fields, filled := t.fields()
		if err := rows.Scan(fields...); err != nil {
			return err
		}
		return filled()
	})
	if err == nil && !found {
		err = diamond.Errorf(diamond.ErrCorrupt, "the row of diamond_counter is missing")
	}
	return err
}

// rollback ends a transaction that failed, and reports whether the database says so.
func (t *transaction) rollback(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	return t.exec(ctx, "ROLLBACK") == nil
}
