package mariadbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"
)

const (
	// dropTime limits the removal of a database.
	dropTime = time.Minute
	// dialTime is the time to connect in DSNs for tests, on a machine that stalls. If the database
	// is stopped, connections are refused at once.
	dialTime = time.Minute
)

// shared is the server that the tests of one binary share.
var shared struct {
	mu     sync.Mutex
	main   bool // Main stops it
	server *Server
	err    error
}

// Runner runs tests, as [testing.M] does.
type Runner interface{ Run() int }

// Main returns a Runner that runs m, and then stops the server that its tests shared.
func Main(m Runner) Runner {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.main = true
	return stopping{m}
}

type stopping struct{ m Runner }

func (s stopping) Run() int {
	code := s.m.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server != nil {
		if err := shared.server.Close(); err != nil {
			return max(code, 1)
		}
	}
	return code
}

// Database returns the DSN of a fresh database, on the server that the environment names or on
// the shared server of this binary. The database is dropped when t ends. Options are appended
// to the statement that creates it, such as "COLLATE utf8mb4_general_ci".
func Database(t testing.TB, options ...string) string {
	t.Helper()
	dsn := os.Getenv(EnvDSN)
	if dsn == "" {
		dsn = sharedServer(t).DSN()
	}
	fresh, drop := database(t, dsn, options)
	t.Cleanup(drop)
	return fresh
}

func sharedServer(t testing.TB) *Server {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	require.True(t, shared.main, "the package's TestMain must use mariadbtest.Main, which stops the server")
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = New(Options{})
	}
	require.NoError(t, shared.err)
	return shared.server
}

// Start starts a separate server for t, which may stop, kill or pause it. The server is removed
// when t ends.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	s, err := New(options)
	require.NoError(t, err, "this test stops the database, and so needs a server of its own")
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// Database returns the DSN of a fresh database on s.
func (s *Server) Database(t testing.TB, options ...string) string {
	t.Helper()
	fresh, _ := database(t, s.DSN(), options)
	return fresh
}

// database creates a database with a random name on the server of dsn. It returns the DSN and a
// function that drops the database.
func database(t testing.TB, dsn string, options []string) (fresh string, drop func()) {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	name := "gdiamond_test_" + strings.ToLower(rand.Text()[:16])
	cfg.DBName = ""
	admin := Connect(t, cfg.FormatDSN())
	_, err = admin.ExecContext(t.Context(), "CREATE DATABASE "+name+" "+strings.Join(options, " "))
	require.NoError(t, err)
	cfg.DBName, cfg.Timeout = name, dialTime
	return cfg.FormatDSN(), func() {
		ctx, cancel := context.WithTimeout(context.Background(), dropTime)
		defer cancel()
		_, err := admin.ExecContext(ctx, "DROP DATABASE "+name)
		require.NoError(t, err)
	}
}

// Connect returns a pool for an unchanged DSN. The pool is closed when t ends.
func Connect(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	require.NoError(t, err)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() }) // fails if the test has stopped or killed the server
	return db
}
