package mariadbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"
)

// shared is the server that the tests of one binary share.
var shared struct {
	mu     sync.Mutex
	main   bool // Main will stop it
	server *Server
	err    error
}

// Runner is what runs tests, as [testing.M] does.
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

// Database returns the DSN of a fresh database, on the server that the
// environment names or on the one that the tests of this binary share. It is
// dropped when t ends. Options follow its name, such as "COLLATE utf8mb4_general_ci".
func Database(t testing.TB, options ...string) string {
	t.Helper()
	dsn := os.Getenv(EnvDSN)
	if dsn == "" {
		dsn = sharedServer(t).DSN()
	}
	return database(t, dsn, options)
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

// Start starts a server that is t's own, to stop, kill or pause; it goes when t ends.
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
	return database(t, s.DSN(), options)
}

// database makes a database of a random name on the server of dsn.
func database(t testing.TB, dsn string, options []string) string {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	name := "gdiamond_test_" + strings.ToLower(rand.Text()[:16])
	cfg.DBName = ""
	admin := Connect(t, cfg.FormatDSN())
	_, err = admin.ExecContext(t.Context(), "CREATE DATABASE "+name+" "+strings.Join(options, " "))
	require.NoError(t, err)
	t.Cleanup(func() {
		// The test may have stopped its server.
		_, _ = admin.ExecContext(context.Background(), "DROP DATABASE "+name)
	})
	cfg.DBName = name
	return cfg.FormatDSN()
}

// Connect returns a pool for a DSN as it stands; it is closed when t ends.
func Connect(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	require.NoError(t, err)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}
