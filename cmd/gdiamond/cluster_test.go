package main

import (
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

const clusterSecret = "q7Jv2mXc9Lr4Tz8Wb1Nd6Hy3"

// member starts a server on the database at dsn.
func member(t *testing.T, dsn, data string, args ...string) *daemon {
	t.Helper()
	return start(t, append([]string{"server", "--listen", "127.0.0.1:0", "--mysql", dsn, "--migrate", "--data", data}, args...)...)
}

func secretFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(name, []byte(clusterSecret+"\n"), 0o600))
	return name
}

// Two servers on one database, which find each other through two name servers:
// each serves what the other took, and what both need survives a kill of either.
func TestCluster_OneTruth(t *testing.T) {
	dsn, secret := mariadbtest.Database(t), secretFile(t)
	names1 := start(t, "namesrv", "--listen", "127.0.0.1:0", "--cluster-secret-file", secret)
	names2 := start(t, "namesrv", "--listen", "127.0.0.1:0", "--cluster-secret-file", secret)
	join := []string{"--namesrv", names1.namesrv + "," + names2.namesrv, "--cluster-secret-file", secret}
	a := member(t, dsn, t.TempDir(), join...)
	b := member(t, dsn, t.TempDir(), join...)

	out := a.clientWith("one", "publish", "linna")
	require.Equal(t, exitOK, out.code, out.stderr)
	require.Eventually(t, func() bool { return b.client("get", "linna").stdout == "one" }, time.Minute, 10*time.Millisecond)
	out = b.clientWith("two", "publish", "linna", "--if-revision", "1")
	require.Equal(t, exitOK, out.code, out.stderr)

	a.kill()
	names1.kill()
	byName := func() outcome { return invoke(t, "get", "linna", "--namesrv", names1.namesrv+","+names2.namesrv) }
	require.Eventually(t, func() bool { return byName().stdout == "two" }, time.Minute, 10*time.Millisecond)
}

// A copy that is damaged is made anew, within its directory, which may be a mount
// point in a directory of somebody else.
func TestL6_DamagedCopyIsMadeAnew(t *testing.T) {
	dsn, data := mariadbtest.Database(t), t.TempDir()
	a := member(t, dsn, data)
	require.Equal(t, exitOK, a.clientWith("one", "publish", "linna").code)
	a.kill()
	before, err := os.Stat(data)
	require.NoError(t, err)
	for i := range 2 {
		require.NoError(t, os.WriteFile(filepath.Join(data, "store.db"), fmt.Append(nil, "damaged ", i), 0o600))
		a = member(t, dsn, data)
		assert.Equal(t, "one", a.must("get", "linna"))
		require.Eventually(t, func() bool { return a.metric("diamond_replica_lag_revisions") == "0" }, time.Minute, 10*time.Millisecond)
		a.kill()
		assert.Contains(t, a.stderr.String(), "is set aside")
		aside, err := os.ReadFile(filepath.Join(data, "store.db.damaged"))
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprint("damaged ", i), string(aside), "the last one")
		assert.Equal(t, exitOK, invoke(t, "check", data).code)
	}
	after, err := os.Stat(data)
	require.NoError(t, err)
	assert.True(t, os.SameFile(before, after))
}

// A database was restored while no server had its copy, so that none can know that
// clients have seen more: an epoch that is begun by hand brings them back.
func TestS11_DatabaseRestoredUnknownToAllServers(t *testing.T) {
	dsn := mariadbtest.Database(t)
	a := member(t, dsn, t.TempDir())
	require.Equal(t, exitOK, a.clientWith("one", "publish", "linna").code)
	res, err := http.Get(a.server + "/v1/configs")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	seen, err := conf.ParsePosition(res.Header.Get("Diamond-Position"))
	require.NoError(t, err)
	seen.Epoch.Generation = 7
	poll := func() (*http.Response, string) { // of a client that has seen that
		res, err := http.Post(a.server+"/v1/poll", "application/json", strings.NewReader(`{"position":"`+seen.String()+`","keys":["linna"]}`))
		require.NoError(t, err)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res, string(text)
	}
	res, text := poll()
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode, text)
	require.Contains(t, text, "migrate --above")
	require.Eventually(t, func() bool { return strings.Contains(a.stderr.String(), `"generation":7`) }, time.Minute, 10*time.Millisecond)

	out := invoke(t, "migrate", "--mysql", dsn, "--above", "7")
	require.Equal(t, exitOK, out.code, out.stderr)
	assert.Contains(t, out.stdout, "generation 8 begins at revision 1000002")
	require.Eventually(t, func() bool {
		res, _ := poll()
		return res.StatusCode == http.StatusOK && res.Header.Get("Diamond-Resync") == "true"
	}, time.Minute, 10*time.Millisecond)
	assert.Equal(t, "one", a.must("get", "linna"))
	out = invoke(t, "migrate", "--mysql", dsn, "--above", "7")
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stderr, "generation 8 already")
	for _, above := range []string{"-1", "9223372036854775807"} {
		assert.Equal(t, exitUsage, invoke(t, "migrate", "--mysql", dsn, "--above", above).code)
	}
}

// A node serves what it has while its database is away, from its start on, and
// one without a copy is not ready: never "not found".
func TestL5_L6_DatabaseDown(t *testing.T) {
	db := mariadbtest.Start(t, mariadbtest.Options{})
	dsn, data := db.Database(t), t.TempDir()
	a := member(t, dsn, data)
	require.Equal(t, exitOK, a.clientWith("one", "publish", "linna").code)
	require.Eventually(t, func() bool { return a.metric("diamond_replica_lag_revisions") == "0" }, time.Minute, 10*time.Millisecond)
	code, _ := a.terminate()
	require.Equal(t, exitOK, code)

	db.Stop()
	a = member(t, dsn, data)
	assert.Equal(t, "one", a.must("get", "linna"))
	assert.Equal(t, exitError, a.clientWith("two", "publish", "linna", "--timeout", "3s").code)

	cold := startUnready(t, "server", "--listen", "127.0.0.1:0", "--mysql", dsn, "--data", t.TempDir())
	status, _ := httpDo(t, http.MethodGet, cold.server+"/readyz")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	status, _ = httpDo(t, http.MethodGet, cold.server+"/diamond-server/config?dataId=linna&group=DEFAULT_GROUP")
	assert.Equal(t, http.StatusServiceUnavailable, status)

	require.NoError(t, db.Start())
	require.Eventually(t, func() bool { return a.clientWith("two", "publish", "linna").code == exitOK }, time.Minute, 100*time.Millisecond)
	require.Eventually(t, func() bool { return cold.client("get", "linna").stdout == "two" }, time.Minute, 100*time.Millisecond)
}

// A store that has outgrown its machine moves with its history.
func TestCopy_ToMySQL(t *testing.T) {
	dsn, data := mariadbtest.Database(t), t.TempDir()
	d := standalone(t, data)
	for _, content := range []string{"one", "two"} {
		require.Equal(t, exitOK, d.clientWith(content, "publish", "linna").code)
	}
	history := d.must("history", "linna", "-o", "json")
	out := invoke(t, "copy", "--from", data, "--mysql", dsn)
	assert.Equal(t, exitError, out.code, "the server still runs")
	assert.Contains(t, out.stderr, "in use")
	d.terminate()

	for range 2 { // the second time there is nothing left to do
		out = invoke(t, "copy", "--from", data, "--mysql", dsn)
		require.Equal(t, exitOK, out.code, out.stderr)
		assert.Contains(t, out.stdout, "revision 2")
	}
	m := member(t, dsn, t.TempDir())
	assert.Equal(t, history, m.must("history", "linna", "-o", "json"))
	assert.Equal(t, "one", m.must("get", "linna", "--revision", "1"))
	assert.Equal(t, exitConflict, m.clientWith("x", "publish", "linna", "--if-revision", "1").code)

	out = invoke(t, "server", "--listen", "127.0.0.1:0", "--mysql", dsn, "--data", data)
	assert.Equal(t, exitError, out.code, "what is no copy is not used as one")
	assert.Contains(t, out.stderr, "another directory")
}

func TestMigrate(t *testing.T) {
	dsn := mariadbtest.Database(t)
	out := invoke(t, "server", "--listen", "127.0.0.1:0", "--mysql", dsn, "--data", t.TempDir())
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stderr, "gdiamond migrate")
	assert.Equal(t, exitError, invoke(t, "migrate", "--check", "--mysql", dsn).code)
	assert.Contains(t, invoke(t, "migrate", "--print").stdout, "CREATE TABLE")
	for range 2 {
		out = invoke(t, "migrate", "--mysql", dsn)
		require.Equal(t, exitOK, out.code, out.stderr)
	}
	assert.Equal(t, exitOK, invoke(t, "migrate", "--check", "--mysql", dsn).code)
}

// The configurations of an original gdiamond come over, and its table stays as it is.
func TestMigrate_FromOriginal(t *testing.T) {
	from, to := mariadbtest.Database(t), mariadbtest.Database(t)
	db, err := sql.Open("mysql", from)
	require.NoError(t, err)
	defer db.Close()
	for _, statement := range []string{
		`CREATE TABLE config_info (id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, data_id varchar(255) NOT NULL DEFAULT '',
			group_id varchar(128) NOT NULL DEFAULT '', content longtext NOT NULL, md5 varchar(32) NOT NULL DEFAULT '',
			gmt_create datetime NOT NULL DEFAULT '2021-01-01', gmt_modified datetime NOT NULL DEFAULT '2021-01-01') CHARACTER SET utf8`,
		`INSERT INTO config_info (data_id, group_id, content) VALUES ('linna', 'DEFAULT_GROUP', 'helloWorld'), ('a b', 'g', 'x')`,
	} {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	// A dry run says what would be, and writes nothing: no tables either.
	out := invoke(t, "migrate", "--mysql", to, "--from-gdiamond", from, "--dry-run")
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stdout, "would apply 0001_start.sql")
	assert.Contains(t, out.stdout, `dataId "a b"`)
	out = invoke(t, "migrate", "--mysql", to, "--from-gdiamond", from, "--skip", "--dry-run")
	require.Equal(t, exitOK, out.code, out.stderr)
	assert.Contains(t, out.stdout, "would import 1, already present 0, refused 1")
	out = invoke(t, "migrate", "--mysql", to, "--dry-run")
	require.Equal(t, exitOK, out.code, out.stderr)
	assert.Equal(t, "would apply 0001_start.sql, 0002_marked.sql\n", out.stdout)
	target, err := sql.Open("mysql", to)
	require.NoError(t, err)
	defer target.Close()
	var tables int
	require.NoError(t, target.QueryRowContext(t.Context(),
		"SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()").Scan(&tables))
	assert.Zero(t, tables)

	out = invoke(t, "migrate", "--mysql", to, "--from-gdiamond", from)
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stdout, `dataId "a b"`)
	assert.Contains(t, out.stdout, "imported 0")

	out = invoke(t, "migrate", "--mysql", to, "--from-gdiamond", from, "--skip")
	require.Equal(t, exitOK, out.code, out.stderr)
	assert.Contains(t, out.stdout, "imported 1, already present 0, refused 1")
	out = invoke(t, "migrate", "--mysql", to, "--from-gdiamond", from, "--skip", "--dry-run")
	require.Equal(t, exitOK, out.code, out.stderr)
	assert.Equal(t, "would apply nothing: the schema is up to date\n", out.stdout[:strings.Index(out.stdout, "\n")+1])
	assert.Contains(t, out.stdout, "would import 0, already present 1, refused 1")
	assert.Equal(t, "helloWorld", member(t, to, t.TempDir()).must("get", "linna"))
}

// The password can be in a file, and is shown nowhere.
func TestMySQLPassword(t *testing.T) {
	dsn := mariadbtest.Database(t)
	user, rest, _ := strings.Cut(dsn, ":")
	password, rest, _ := strings.Cut(rest, "@")
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
	require.NoError(t, os.Chmod(file, 0o644))
	out := invoke(t, "migrate", "--mysql", user+"@"+rest, "--mysql-password-file", file)
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stderr, "has mode 0644, so that everybody on this machine can read it; chmod 600 it")
	require.NoError(t, os.Chmod(file, 0o600))
	out = invoke(t, "migrate", "--mysql", user+"@"+rest, "--mysql-password-file", file)
	require.Equal(t, exitOK, out.code, out.stderr)

	assert.Equal(t, "(hidden)", printed(t, nil, "server", "--mysql", dsn)["mysql"][0])
	for _, args := range [][]string{
		{"--mysql", dsn, "--mysql-password-file", file},
		{"--mysql", user + ":" + password + "@nowhere(x"},
		{"--mysql", user + ":" + password + "wrong@" + rest},
	} {
		out := invoke(t, append([]string{"migrate"}, args...)...)
		assert.NotEqual(t, exitOK, out.code)
		assert.NotContains(t, out.stderr, password)
	}
	assert.Equal(t, exitUsage, invoke(t, "migrate").code)
}
