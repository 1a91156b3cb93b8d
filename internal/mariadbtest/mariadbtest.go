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
	// dropTime bounds the removal of a database.
	dropTime = time.Minute
	// dialTime is in DSNs for tests: how long a connection may take to be made on a
	// machine that stalls. Who stops the database is refused at once.
	dialTime = time.Minute
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

// Start starts a server that is t's own, to stop, kill or pause; it goes when t ends.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	s, err := New(options)
	require.NoError(t, err, "this test stops the database, and so needs a server of its own")
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// Database returns the DSN of a fresh database on s. It goes with the server.
func (s *Server) Database(t testing.TB, options ...string) string {
	t.Helper()
	fresh, _ := database(t, s.DSN(), options)
	return fresh
}

// database makes a database of a random name on the server of dsn, and returns
// its DSN and what drops it.
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

// Connect returns a pool for a DSN as it stands; it is closed when t ends.
func Connect(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	require.NoError(t, err)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() }) // which tells of a server that the test has stopped or killed
	return db
}
