// Package mariadbtest gives tests a MariaDB, or a MySQL.
//
// A test that needs a database asks for one with [Database], which is fresh and
// goes when the test ends. It is on the server that DIAMOND_TEST_MYSQL_DSN
// names, else on a private server that is started once per test binary, which
// the package's TestMain must say:
//
//	func TestMain(m *testing.M) { os.Exit(mariadbtest.Main(m).Run()) }
//
// A test that stops, kills or pauses the database has a server of its own, from
// [Start]. Where there is no server to be had, the test fails and says how to
// get one: it is never skipped.
package mariadbtest
