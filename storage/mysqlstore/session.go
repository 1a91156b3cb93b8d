package mysqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"time"
)

const (
	// sessionLife is for how long a store writes on one connection, and
	// sessionRest for how long it keeps it without writing.
	sessionLife = 3 * time.Minute
	sessionRest = time.Second
	// sessionPool is the least size of a pool of which a connection is kept.
	sessionPool = 4
	// sessionBusy is after how many transactions a session is set up for many more.
	sessionBusy = 8
)

// session is the connection that a store writes on. The transactions of a store
// follow each other anyway, as each locks the counter. So they share one
// connection, and the statements that were prepared on it: to read the text of
// a statement of many rows costs the database more than to do what it says.
type session struct {
	conn     *sql.Conn
	began    time.Time
	kept     bool            // between transactions: the pool has others for reads
	begun    int             // transactions
	tuned    bool            // see tune
	seen     map[string]bool // statements that were run as text
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

// release ends the turn. A connection that is not good is dropped.
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

// rest gives the connection back to the pool, unless a transaction is under way.
func (s *Store) rest() {
	select {
	case s.writing <- struct{}{}:
		s.end()
		<-s.writing
	default:
	}
}

// end gives the connection back to the pool, or away if it was dropped. The
// caller has the store's turn.
func (s *Store) end() {
	if s.session == nil {
		return
	}
	if s.session.tuned {
		drop(s.session.conn) // the pool expects it as it was
	}
	for _, statement := range s.session.prepared {
		_ = statement.Close() // the database is told without waiting for an answer
	}
	_ = s.session.conn.Close() // it was dropped already, or goes back
	s.session = nil
}

// drop has the pool close conn instead of using it again.
func drop(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

// start begins a transaction at READ COMMITTED: each of its statements sees all
// that was committed before.
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

// tune spares all further transactions of the session the statements that begin one.
func (s *session) tune(ctx context.Context) error {
	s.tuned = true
	for _, statement := range []string{"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET autocommit = 0"} {
		if err := s.exec(ctx, statement); err != nil {
			drop(s.conn) // it is tuned by half
			return err
		}
	}
	return nil
}

// statement returns a prepared statement, or nil where the text is to be run:
// the first time, as many are run once only, unless it must be prepared.
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
