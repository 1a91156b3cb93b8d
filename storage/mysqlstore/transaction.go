package mysqlstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/failpoint"
)

const (
	// attempts is the largest number of runs of a transaction: one, and three more after
	// conflicts.
	attempts = 4
	// retryPause is the approximate pause before a retry.
	retryPause = 20 * time.Millisecond
	// rollbackTime limits the rollback of a failed transaction.
	rollbackTime = 3 * time.Second
)

// errNothing is returned by the function given to [Store.write] if there is nothing to
// commit.
var errNothing = errors.New("nothing to write")

// transaction is a writing transaction. It holds the lock of the counter.
type transaction struct {
	*session
	altered bool // the session must not return to the pool
	*limits
	counter
	found map[conf.Key]*current // of the transaction's keys
}

// write runs fn in a transaction that holds the counter and has the current rows of keys,
// and commits it. keys may have duplicates. If the transaction conflicts with another one,
// or loses its connection before its commit, it was rolled back and runs again, up to times
// times in all.
func (s *Store) write(ctx context.Context, times int, keys []conf.Key, fn func(context.Context, *transaction) error) error {
	done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	slices.SortFunc(keys, conf.Key.Compare)
	keys = slices.Compact(keys)
	var told error // the database's error of earlier tries
	for n := 1; ; n++ {
		err = s.transact(ctx, keys, fn)
		if err != nil && told != nil && ctx.Err() != nil && !isUncertain(err) {
			return joinEnd(ctx, told)
		}
		if err == nil || n == times || !again(err) {
			return failure(ctx, err)
		}
		if told = err; pause(ctx) != nil {
			return joinEnd(ctx, told)
		}
	}
}

func (s *Store) transact(ctx context.Context, keys []conf.Key, fn func(context.Context, *transaction) error) error {
	session, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	t := &transaction{session: session, limits: s.limits.Load()}
	good := false
	defer func() { s.release(good && !t.altered) }()
	if err = t.begin(ctx, keys); err == nil {
		err = fn(ctx, t)
	}
	if err == nil {
		err = ended(ctx) // no COMMIT was sent
	}
	if err != nil {
		good = t.rollback(ctx) && (errors.Is(err, errNothing) || !useless(err))
		if errors.Is(err, errNothing) {
			return nil
		}
		return err
	}
	failpoint.Hit("mysqlstore.beforeCommit")
	// This does not use database/sql's Tx, because the end of ctx must end it too.
	if err := t.exec(ctx, "COMMIT"); err != nil {
		if refusesCommit(err) {
			return err
		}
		return uncertain{err}
	}
	good = true
	return nil
}

// begin starts the transaction, and locks the counter and then the rows of keys. That is its
// first statement, and this and later statements read everything that was committed before.
// So no revision is given out of order, regardless of the isolation of the connection.
func (t *transaction) begin(ctx context.Context, keys []conf.Key) error {
	if err := t.start(ctx); err != nil {
		return err
	}
	t.found = make(map[conf.Key]*current, len(keys))
	first := keys[:min(len(keys), keysPerStatement)]
	where, args := "FALSE", []any(nil)
	if len(first) > 0 {
		where, args = whereKeysOf("e.", first)
	}
	locked := false
	var row currentRow
	fields, filled := t.fields()
	fields = append(fields, row.fields()...)
	err := t.query(ctx, "SELECT STRAIGHT_JOIN "+columnsOf("k", counterColumns)+", "+columnsOf("e", currentColumns)+
		" FROM diamond_counter k LEFT JOIN diamond_entry e FORCE INDEX (PRIMARY) ON "+where+" WHERE k.id = 1 FOR UPDATE", args, func(rows *sql.Rows) error {
		if err := rows.Scan(fields...); err != nil {
			return err
		}
		if !locked { // all rows have the same counter
			locked = true
			if err := filled(); err != nil {
				return err
			}
		}
		return row.addTo(t.found)
	})
	if err == nil && !locked {
		err = noCounter()
	}
	if err == nil {
		err = t.currents(ctx, keys[len(first):])
	}
	return err
}

// rollback rolls a failed transaction back, and reports whether the database confirmed it.
func (t *transaction) rollback(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	return t.exec(ctx, "ROLLBACK") == nil
}
