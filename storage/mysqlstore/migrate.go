package mysqlstore

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// migrationWait is the time that Migrate waits for another migration to end.
const migrationWait = time.Minute

// migrations has the files that create the schema, in order.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migration creates one version of the schema from the previous one.
type migration struct {
	version int
	name    string // of its file
	sql     string
}

// SchemaError is the error for a database whose schema is not the one that this program
// needs. It wraps [conf.ErrUnavailable].
type SchemaError struct {
	Have int // the version in the database, or 0 if there is none
	Want int // the version of this program
}

// Error returns a text that says what to do.
func (e *SchemaError) Error() string {
	switch {
	case e.Have == 0:
		return fmt.Sprintf("mysqlstore: the database has no gdiamond schema: run `gdiamond migrate` to make version %d", e.Want)
	case e.Have < e.Want:
		return fmt.Sprintf("mysqlstore: the schema has version %d, this program needs %d: run `gdiamond migrate`", e.Have, e.Want)
	}
	return fmt.Sprintf("mysqlstore: the schema has version %d, this program knows up to %d: use a newer program", e.Have, e.Want)
}

// Unwrap returns [conf.ErrUnavailable].
func (e *SchemaError) Unwrap() error { return conf.ErrUnavailable }

// all returns the migrations in order.
func allMigrations() ([]migration, error) {
	files, err := fs.ReadDir(migrations, "migrations") // sorted by name
	if err != nil {
		return nil, err
	}
	var all []migration
	for i, f := range files {
		number, _, _ := strings.Cut(f.Name(), "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("migration %s does not have number %d", f.Name(), i+1)
		}
		text, err := fs.ReadFile(migrations, "migrations/"+f.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, migration{version, f.Name(), string(text)})
	}
	return all, nil
}

// statements returns the statements of a migration. Each ends with a semicolon
// at the end of a line.
func (m *migration) statements() []string {
	var statements []string
	var b strings.Builder
	for line := range strings.Lines(m.sql) {
		if text := strings.TrimSpace(line); text == "" || strings.HasPrefix(text, "--") {
			continue
		}
		b.WriteString(line)
		if strings.HasSuffix(strings.TrimRight(line, " \r\n"), ";") {
			statements = append(statements, strings.TrimRight(b.String(), " ;\r\n"))
			b.Reset()
		}
	}
	return statements
}

// Migrate updates the schema of db's database to the version of this program, and returns
// the names of the applied migrations. There are none if the schema is up to date. If
// several callers migrate at once, one does the work and the others wait. A newer schema is
// a [*SchemaError].
//
// Migrate needs the right to create and alter tables. It runs the statements that [Print]
// prints.
func Migrate(ctx context.Context, db *sql.DB) (applied []string, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, failure(ctx, err)
	}
	defer func() { _ = conn.Close() }() // a lock that cannot be released ends with the connection
	lock := `CONCAT('gdiamond.', MD5(DATABASE()))`
	var locked sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK("+lock+", ?)", int(migrationWait.Seconds())).Scan(&locked); err != nil {
		return nil, failure(ctx, err)
	}
	if locked.Int64 != 1 {
		return nil, conf.Errorf(conf.ErrUnavailable, "another migration has been running for %v, or the DSN names no database", migrationWait)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
		defer cancel()
		if _, e := conn.ExecContext(ctx, "DO RELEASE_LOCK("+lock+")"); e != nil {
			drop(conn)
		}
	}()
	pending, err := pendingOn(ctx, conn)
	if err != nil {
		return nil, failure(ctx, err)
	}
	for _, m := range pending {
		for _, statement := range m.statements() {
			if _, err := conn.ExecContext(ctx, statement); err != nil {
				if useless(err) {
					drop(conn)
				}
				return applied, failure(ctx, err)
			}
		}
		applied = append(applied, m.name)
	}
	return applied, nil
}

// Pending returns the names of the migrations that the schema of db's database lacks. There
// are none if it is up to date. A newer schema is a [*SchemaError].
func Pending(ctx context.Context, db *sql.DB) ([]string, error) {
	pending, err := pendingOn(ctx, db)
	if err != nil {
		return nil, failure(ctx, err)
	}
	var names []string
	for _, m := range pending {
		names = append(names, m.name)
	}
	return names, nil
}

// Print writes the statements of all migrations to w, for review or for running them by
// hand. They can be run more than once.
func Print(w io.Writer) error {
	all, err := allMigrations()
	if err != nil {
		return err
	}
	for _, m := range all {
		if _, err := fmt.Fprintf(w, "-- %s\n\n%s\n", m.name, m.sql); err != nil {
			return err
		}
	}
	return nil
}

// querier is a pool or one connection.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func pendingOn(ctx context.Context, q querier) ([]migration, error) {
	all, err := allMigrations()
	if err != nil {
		return nil, err
	}
	have, err := schemaVersion(ctx, q)
	if err != nil {
		return nil, err
	}
	if have > len(all) {
		return nil, &SchemaError{have, len(all)}
	}
	return all[have:], nil
}

// schemaVersion returns the version of the schema in the database, or 0 if there is none.
func schemaVersion(ctx context.Context, q querier) (int, error) {
	var version sql.NullInt64
	err := q.QueryRowContext(ctx, "SELECT MAX(version) FROM diamond_schema").Scan(&version)
	if hasNumber(err, noSuchTable) {
		return 0, nil
	}
	return int(version.Int64), err
}

// checkSchema returns a [*SchemaError] unless the schema has this program's version.
func checkSchema(ctx context.Context, q querier) error {
	all, err := allMigrations()
	if err != nil {
		return err
	}
	have, err := schemaVersion(ctx, q)
	if err == nil && have != len(all) {
		err = &SchemaError{have, len(all)}
	}
	return err
}
