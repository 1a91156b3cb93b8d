// Package mariadbtest provides MariaDB or MySQL databases for tests.
//
// [Database] returns a fresh database, which is removed when the test ends. It is on the
// server that DIAMOND_TEST_MYSQL_DSN names, or else on a private server for the test binary.
// For the latter the package needs this TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(mariadbtest.Main(m).Run()) }
//
// [Start] returns a separate server for a test that stops, kills or pauses it. If no server
// is available, the test fails and says how to get one. It is never skipped.
package mariadbtest
