package mysqlstore

import (
	"context"
	"database/sql"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
)

// query runs one reading statement, and calls each for each of its rows. Every read of the
// store is one statement, usually outside a transaction, so it sees one moment. If the
// connection is lost before the first row, the statement runs again.
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

// ask runs a statement once. A fresh read runs in a transaction, because proxies that send
// reads to replicas send transactions to the primary.
func (s *Store) ask(ctx context.Context, statement string, args []any, each func(*sql.Rows) error) (err error) {
	if !conf.FreshRead(ctx) {
		return queryOn(ctx, s.db, statement, args, each)
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() {
		drop(conn) // and the transaction with it
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

// rowsOf returns a function that calls each for the rows of a query.
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

// pause waits briefly before a retry.
func pause(ctx context.Context) error {
	return backoff.Sleep(ctx, backoff.Jitter(retryPause, 0.9))
}
