package mysqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"time"
)

const (
	// sessionLife is the time for which a store writes on one connection, and
	// sessionRest the time for which it keeps the connection without writing.
	sessionLife = 3 * time.Minute
	sessionRest = time.Second
	// sessionPool is the smallest size of a pool from which a connection is kept.
	sessionPool = 4
	// sessionBusy is the number of transactions after which a session is tuned for many
	// more.
	sessionBusy = 8
)

// session is the connection on which a store writes. The transactions of a store run one
// after the other anyway, because each locks the counter. So they share one connection and
// its prepared statements: parsing a statement with many rows costs the database more than
// running it.
type session struct {
	conn     *sql.Conn
	began    time.Time
	kept     bool            // keep between transactions; the pool has others for reads
	begun    int             // transactions
	tuned    bool            // see tune
	seen     map[string]bool // statements that have run as text
	prepared map[string]*sql.Stmt
}

// acquire waits for the store's turn to write and returns the connection.
func (s *Store) acquire(ctx context.Context) (*session, error) {
	select {
	case s.writing <- struct{}{}:
	case <-ctx.Done():
		return nil, ended(ctx)
	}
	if s.session != nil && time.Since(s.session.began) > sessionLife {
		s.end()
	}
	if s.session == nil {
		conn, err := s.db.Conn(ctx)
		if err != nil {
			<-s.writing
			return nil, err
		}
		most := s.db.Stats().MaxOpenConnections
		s.session = &session{
			conn: conn, began: time.Now(), kept: most == 0 || most >= sessionPool,
			seen: make(map[string]bool), prepared: make(map[string]*sql.Stmt),
		}
	}
	return s.session, nil
}

// release ends the turn. It drops the connection unless good is set.
func (s *Store) release(good bool) {
	switch {
	case !good:
		drop(s.session.conn)
		s.end()
	case !s.session.kept:
		s.end()
	default:
		s.resting.Reset(sessionRest)
	}
	<-s.writing
}

// rest returns the connection to the pool, unless a transaction is running.
func (s *Store) rest() {
	select {
	case s.writing <- struct{}{}:
		s.end()
		<-s.writing
	default:
	}
}

// end returns the connection to the pool, unless it was dropped. The caller has the store's
// turn.
func (s *Store) end() {
	if s.session == nil {
		return
	}
	if s.session.tuned {
		drop(s.session.conn) // the pool expects an unchanged connection
	}
	for _, statement := range s.session.prepared {
		_ = statement.Close() // notifies the database without waiting for an answer
	}
	_ = s.session.conn.Close() // returns it to the pool, unless it was dropped
	s.session = nil
}

// drop makes the pool close conn instead of reusing it.
func drop(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

// start begins a transaction at READ COMMITTED: each of its statements sees everything
// committed before.
func (s *session) start(ctx context.Context) error {
	if s.begun++; s.begun == sessionBusy {
		if err := s.tune(ctx); err != nil {
			return err
		}
	}
	if s.tuned {
		return nil // the next statement begins it
	}
	for _, statement := range []string{"SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION"} {
		if err := s.exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// tune sets up the session so that later transactions need no statements to begin.
func (s *session) tune(ctx context.Context) error {
	s.tuned = true
	for _, statement := range []string{"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET autocommit = 0"} {
		if err := s.exec(ctx, statement); err != nil {
			drop(s.conn) // it is only partly tuned
			return err
		}
	}
	return nil
}

// statement returns a prepared statement, or nil if the text should be run instead. Unless
// must is set, the first run uses the text, because many statements run only once.
func (s *session) statement(ctx context.Context, text string, must bool) (*sql.Stmt, error) {
	if p := s.prepared[text]; p != nil {
		return p, nil
	}
	if !must && !s.seen[text] {
		s.seen[text] = true
		return nil, nil
	}
	p, err := s.conn.PrepareContext(ctx, text)
	if err == nil {
		s.prepared[text] = p
	}
	return p, err
}

func (s *session) exec(ctx context.Context, text string, args ...any) error {
	_, err := s.execResult(ctx, false, text, args)
	return err
}

func (s *session) execResult(ctx context.Context, must bool, text string, args []any) (sql.Result, error) {
	if len(args) == 0 {
		return s.conn.ExecContext(ctx, text)
	}
	p, err := s.statement(ctx, text, must)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return s.conn.ExecContext(ctx, text, args...)
	}
	return p.ExecContext(ctx, args...)
}

func (s *session) query(ctx context.Context, text string, args []any, each func(*sql.Rows) error) error {
	p, err := s.statement(ctx, text, false)
	if err != nil {
		return err
	}
	if p == nil {
		return queryOn(ctx, s.conn, text, args, each)
	}
	return rowsOf(each)(p.QueryContext(ctx, args...))
}
