package mysqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// mute is a database, as far as a start needs one, that does not answer
// statements that begin so.
type mute string

func (m mute) Connect(context.Context) (driver.Conn, error) { return m, nil }
func (mute) Driver() driver.Driver                          { return nil }
func (mute) Prepare(string) (driver.Stmt, error)            { return nil, driver.ErrSkip }
func (mute) Begin() (driver.Tx, error)                      { return nil, driver.ErrSkip }
func (mute) Close() error                                   { return nil }

func (m mute) answer(ctx context.Context, statement string) error {
	if strings.HasPrefix(statement, string(m)) {
		<-ctx.Done()
	}
	return ctx.Err()
}

func (m mute) ExecContext(ctx context.Context, statement string, _ []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(0), m.answer(ctx, statement)
}

func (m mute) QueryContext(ctx context.Context, statement string, _ []driver.NamedValue) (driver.Rows, error) {
	value := driver.Value(int64(1)) // the lock is ours; there is a counter
	switch {
	case strings.HasPrefix(statement, "SHOW VARIABLES"):
		return &rows{{"max_allowed_packet", "67108864"}, {"autocommit", "ON"}}, m.answer(ctx, statement)
	case strings.HasPrefix(statement, "SELECT MAX(version)"):
		all, err := allMigrations()
		if err != nil {
			return nil, err
		}
		value = int64(len(all))
	}
	return &rows{{value}}, m.answer(ctx, statement)
}

// rows are what is left of an answer, of one column or two.
type rows [][]driver.Value

func (r *rows) Columns() []string { return make([]string, len((*r)[0])) }
func (r *rows) Close() error      { return nil }

func (r *rows) Next(row []driver.Value) error {
	if len(*r) == 0 {
		return io.EOF
	}
	copy(row, (*r)[0])
	*r = (*r)[1:]
	return nil
}

// S8: a database that hangs while the schema is made holds a start for some
// time, and not as long as the caller would wait.
func TestS8_DatabaseHangsInMigration(t *testing.T) {
	for statement, starts := range map[string]bool{
		"SELECT GET_LOCK": false, "SELECT MAX(version)": false, "DO RELEASE_LOCK": true, "nothing": true,
	} {
		t.Run(statement, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := sql.OpenDB(mute(statement))
				defer db.Close()
				ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
				defer cancel()
				began := time.Now()
				s, err := New(ctx, db, WithMigrate(), WithLogger(quiet()))
				require.Less(t, time.Since(began), 5*time.Minute)
				if !starts {
					require.ErrorIs(t, err, conf.ErrUnavailable)
					require.Greater(t, time.Since(began), migrationWait, "another one may be at work")
					return
				}
				require.NoError(t, err)
				require.NoError(t, s.Close())
			})
		})
	}
}
