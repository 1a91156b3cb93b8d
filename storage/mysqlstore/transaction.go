package mysqlstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
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
	found map[diamond.Key]*current // of the keys that it is about
}

// write runs fn in a transaction that holds the counter and knows the current
// rows of keys, which may be there more than once, and commits it. Where
// it met another transaction or lost its connection before it was to be
// committed, it was rolled back: then it runs again, up to times times in all.
func (s *Store) write(ctx context.Context, times int, keys []diamond.Key, fn func(context.Context, *transaction) error) error {
	done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	slices.SortFunc(keys, diamond.Key.Compare)
	keys = slices.Compact(keys)
	var told error // by the database, of earlier tries
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

func (s *Store) transact(ctx context.Context, keys []diamond.Key, fn func(context.Context, *transaction) error) error {
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
		err = ended(ctx) // nothing of a COMMIT was sent
	}
	if err != nil {
		good = t.rollback(ctx) && (errors.Is(err, errNothing) || !useless(err))
		if errors.Is(err, errNothing) {
			return nil
		}
		return err
	}
	failpoint.Hit("mysqlstore.beforeCommit")
	// Not by database/sql's Tx: the end of ctx must end this too.
	if err := t.exec(ctx, "COMMIT"); err != nil {
		if refusesCommit(err) {
			return err
		}
		return uncertain{err}
	}
	good = true
	return nil
}

// begin starts the transaction and locks the counter, and after it the rows of
// keys. That is its first statement, and all that is read with it and after it
// is what was committed before: so no revision is ever given out of order,
// whatever the isolation of the connection.
func (t *transaction) begin(ctx context.Context, keys []diamond.Key) error {
	if err := t.start(ctx); err != nil {
		return err
	}
	t.found = make(map[diamond.Key]*current, len(keys))
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
		if !locked { // the other rows have the same counter
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

// rollback ends a transaction that failed, and reports whether the database says so.
func (t *transaction) rollback(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	return t.exec(ctx, "ROLLBACK") == nil
}
