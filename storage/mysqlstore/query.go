package mysqlstore

import (
	"context"
	"database/sql"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/backoff"
)

// query runs one statement that reads, and each for each of its rows. Every
// read of the store is one statement, as a rule outside any transaction: so it
// sees one moment. Where the connection is lost before the first row, it runs
// again.
func (s *Store) query(ctx context.Context, statement string, args []any, each func(*sql.Rows) error) error {
	done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	leave, err := s.readers.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	begun := false
	for n := 1; ; n++ {
		err = s.ask(ctx, statement, args, func(rows *sql.Rows) error {
			begun = true
			return each(rows)
		})
		if err == nil || begun || n == attempts || !again(err) {
			return failure(ctx, err)
		}
		if pause(ctx) != nil {
			return joinEnd(ctx, err)
		}
	}
}

// ask runs a statement once. A fresh read runs in a transaction: what splits
// reads from writes, to send them to a database that follows another one, sends
// transactions to the one that is written.
func (s *Store) ask(ctx context.Context, statement string, args []any, each func(*sql.Rows) error) (err error) {
	if !diamond.FreshRead(ctx) {
		return queryOn(ctx, s.db, statement, args, each)
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() {
		drop(conn) // and with it the transaction
		_ = conn.Close()
	}()
	if _, err := conn.ExecContext(ctx, "START TRANSACTION"); err != nil {
		return err
	}
	return queryOn(ctx, conn, statement, args, each)
}

func queryOn(ctx context.Context, q querier, statement string, args []any, each func(*sql.Rows) error) error {
	return rowsOf(each)(q.QueryContext(ctx, statement, args...))
}

// rowsOf returns what runs each for the rows of a query that was made.
func rowsOf(each func(*sql.Rows) error) func(*sql.Rows, error) error {
	return func(rows *sql.Rows, err error) error {
		if err != nil {
			return err
		}
		for err == nil && rows.Next() {
			err = each(rows)
		}
		if err == nil {
			err = rows.Err()
		}
		if e := rows.Close(); err == nil {
			err = e
		}
		return err
	}
}

// pause waits a moment before something is tried again.
func pause(ctx context.Context) error {
	return backoff.Sleep(ctx, backoff.Jitter(retryPause, 0.9))
}
