package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every way to be wrong has its exit code, one line on stderr and nothing on stdout.
func TestExitCodes(t *testing.T) {
	d := standalone(t, t.TempDir())
	d.must("publish", "linna", writeFile(t, "x"))
	missing := filepath.Join(t.TempDir(), "missing")
	closed := "127.0.0.1:1" // nobody listens there
	cases := []struct {
		name string
		args string
		code int
		says string // in the one line
	}{
		{"found", "get linna", exitOK, ""},
		{"unknown command", "gte linna", exitUsage, "unknown command"},
		{"unknown flag", "get linna --foo", exitUsage, "--foo"},
		{"unknown flag of a server", "standalone --foo", exitUsage, "--foo"},
		{"no argument", "get", exitUsage, "a KEY"},
		{"too many arguments", "get a b", exitUsage, "a KEY"},
		{"argument of a server", "standalone here", exitUsage, "no arguments"},
		{"flag without its value", "get linna --revision", exitUsage, "revision"},
		{"flag of the wrong kind", "get linna --timeout soon", exitUsage, "timeout"},
		{"negative timeout", "get linna --timeout -1s", exitUsage, "timeout"},
		{"negative revision", "get linna --revision -1", exitUsage, "revision"},
		{"unknown output", "get linna -o xml", exitUsage, "table, json or yaml"},
		{"both ways", "get linna --server 127.0.0.1:1 --namesrv http://127.0.0.1:1", exitUsage, "--namesrv"},
		{"bad server", "get linna --server http://[", exitUsage, "server"},
		{"server without host", "get linna --server :1210", exitUsage, `address ":1210": has no host`},
		{"server of another scheme", "get linna --server ftp://localhost", exitUsage, "http"},
		{"bad name server", "get linna --namesrv http://[", exitUsage, "name server"},
		{"bad key", "get li*nna", exitUsage, "dataId"},
		{"key of too many parts", "get a/b/c/d", exitUsage, "three parts"},
		{"key with an empty part", "get /linna", exitUsage, "empty"},
		{"overlong key", "get " + strings.Repeat("x", 257), exitUsage, "256"},
		{"bad namespace", "get linna --namespace a/b", exitUsage, "namespace"},
		{"bad namespace of a list", "ls -n a/b", exitUsage, "namespace"},
		{"bad group of a list", "ls -g a/b", exitUsage, "group"},
		{"bad prefix", "ls a*b", exitUsage, "prefix"},
		{"bad group of a watch", "watch -g a/b", exitUsage, "group"},
		{"bad group of an export", "export " + missing + " -g a/b", exitUsage, "group"},
		{"bad namespace of an import", "import " + missing + " -n a/b", exitUsage, "namespace"},
		{"negative condition", "publish linna " + writeFile(t, "y") + " --if-revision -1", exitUsage, "if-revision"},
		{"delete of what is not there", "rm linna --if-revision 0", exitUsage, "if-revision"},
		{"help for no command", "help gte", exitUsage, "unknown command"},
		{"bad position", "watch --from nowhere", exitUsage, "from"},
		{"a revision as a position", "watch --from 3", exitUsage, "is not a POSITION, which `gdiamond watch -o json` prints"},
		{"a key as a prefix", "ls g/linna", exitUsage, "is a KEY; ls takes the beginning of a data id"},
		{"a number that is none", "get linna --revision new", exitUsage, `revision: "new" is not a whole number`},
		{"a duration that is none", "get linna --timeout 5", exitUsage, `timeout: "5" is not a duration, such as 500ms, 5s, 1m30s or 720h`},
		{"a format that is none", "get linna -o xml", exitUsage, `gdiamond: output: "xml" is not table, json or yaml; see`},
		{"a level that is none", "server --log-level loud", exitUsage, `log-level: "loud" is not debug, info, warn or error`},
		{"metadata that is none", "publish linna --meta owner", exitUsage, `meta: "owner" is not NAME=VALUE`},
		{"nobody let in", "standalone --address-requests 0", exitUsage, "address-requests: give a number above 0"},
		{"no memory", "server --address-memory 0", exitUsage, "address-memory"},
		{"no keys", "server --address-keys -1", exitUsage, "address-keys"},
		{"no unknown tokens", "server --address-proofs 0", exitUsage, "address-proofs"},
		{"an empty member", "get linna --server 127.0.0.1:1,,127.0.0.1:2", exitUsage, "server: a member of the list is empty"},
		{"a member that is none", "server --peer 127.0.0.1:1,here", exitUsage, `peer: "here": `},
		{"not found", "get nobody", exitNotFound, "not found"},
		{"no such version", "get linna --revision 77", exitNotFound, "not found"},
		{"delete of nothing", "rm nobody", exitNotFound, "not found"},
		{"history of nothing", "history nobody", exitNotFound, "not found"},
		{"stale publish", "publish linna " + writeFile(t, "y") + " --if-revision 9", exitConflict, "revision"},
		{"not there yet", "publish linna " + writeFile(t, "y") + " --if-revision 0", exitConflict, "revision"},
		{"stale delete", "rm linna --if-revision 9", exitConflict, "revision"},
		{"missing file", "publish linna " + missing, exitError, "no such file"},
		{"missing directory", "import " + missing, exitError, "no such file"},
		{"empty content", "publish linna " + writeFile(t, ""), exitError, "content: is empty, blank, or has no value in its format; to publish it anyway, use --allow-empty"},
		{"blank content", "publish linna " + writeFile(t, " \n"), exitError, "content: is empty, blank, or has no value in its format; to publish it anyway, use --allow-empty"},
		{"bad type", "publish linna --type a/b --server " + closed, exitUsage, "type"},
		{"overlong comment", "publish linna --server " + closed + " --comment " + strings.Repeat("x", 1025), exitUsage, "comment"},
		{"comment with control characters", "rm linna --comment a\x01b --server " + closed, exitUsage, "comment"},
		{"bad comment of an import", "import " + missing + " --comment a\x01b", exitUsage, "comment"},
		{"force without a reason", "publish linna --force --server " + closed, exitUsage, "force: needs --comment"},
		{"forced delete without a reason", "rm linna --force --server " + closed, exitUsage, "force: needs --comment"},
		{"forced rollback without a reason", "rollback linna --force --server " + closed, exitUsage, "force: needs --comment"},
		{"forced import without a reason", "import " + missing + " --force --server " + closed, exitUsage, "force: needs --comment"},
		{"forced apply without a reason", "apply -f " + missing + " --force --server " + closed, exitUsage, "force: needs --comment"},
		{"forced removal without a reason", "namespace rm x --force --server " + closed, exitUsage, "force: needs --comment"},
		{"no such token file", "get linna --token-file " + missing, exitError, "no such file"},
		{"system namespace", "publish _users/g/linna --server " + closed, exitUsage, "_users"},
		{"system namespace of a read", "get _users/g/linna --server " + closed, exitUsage, "_users"},
		{"system namespace of a list", "ls -n _users --server " + closed, exitUsage, "_users"},
		{"system namespace of a watch", "watch -n _users --server " + closed, exitUsage, "_users"},
		{"two groups", "watch g/linna -g other --server " + closed, exitUsage, `--group is "other"`},
		{"two namespaces", "get -n other ns/g/linna --server " + closed, exitUsage, `--namespace is "other"`},
		{"group said twice", "get -n public public/DEFAULT_GROUP/linna", exitOK, ""},
		{"nobody listens", "get linna --timeout 300ms --server " + closed, exitError, "unavailable"},
		{"no name server", "get linna --timeout 300ms --namesrv http://" + closed, exitError, "fetch"},
		{"nobody listens to a watch", "watch --from start --timeout 300ms --server " + closed, exitError, "unavailable"},
		{"no store", "check " + missing, exitNotFound, missing},
		{"port in use", "server --data " + t.TempDir() + " --listen " + strings.TrimPrefix(d.server, "http://"), exitError, "address already in use"},
		{"flags that exclude each other", "migrate --print --check", exitUsage, "print"},
		{"dry run of a check", "migrate --check --dry-run --mysql u@tcp(127.0.0.1:1)/d", exitUsage, "dry-run"},
		{"dry run of a print", "migrate --print --dry-run", exitUsage, "dry-run"},
		{"skip without an import", "migrate --skip --mysql u@tcp(127.0.0.1:1)/d", exitUsage, "skip"},
		{"settings of no command", "config print gte", exitUsage, "see gdiamond config print --help"},
		{"settings of a get", "config print get linna", exitUsage, "no arguments"},
		{"bad address", "server --listen nowhere", exitUsage, "listen"},
		{"no data directory", "server --data=", exitUsage, "data"},
		{"negative delay", "server --shutdown-delay -1s", exitUsage, "shutdown-delay"},
		{"bad advertised address", "standalone --advertise nowhere", exitUsage, "advertise"},
		{"bad peer", "server --peer nowhere", exitUsage, "peer"},
		{"a database's password without the database", "server --mysql-password-file " + missing, exitUsage, "mysql-password-file: needs --mysql"},
		{"a schema without a database", "server --migrate", exitUsage, "migrate: needs --mysql"},
		{"peers without a database", "server --peer 127.0.0.1:1", exitUsage, "peer: needs --mysql"},
		{"bad address of a name server with a secret", "namesrv --listen nowhere --cluster-secret-file " + writeFile(t, strings.Repeat("0123456789abcdef", 4)), exitUsage, "listen"},
		{"database without a name", "migrate --mysql u@tcp(127.0.0.1:1)/", exitUsage, "mysql: the DSN names no database"},
		{"original that is none", "migrate --mysql u@tcp(127.0.0.1:1)/d --from-gdiamond nothing", exitUsage, "from-gdiamond: the DSN is invalid"},
		{"restore above all", "restore " + missing + " " + missing + " --above 9223372036854775807", exitUsage, "above: "},
		{"bad log level", "server --log-level loud", exitUsage, "log-level"},
	}
	for _, c := range cases {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			out := d.client(strings.Fields(c.args)...)
			assert.Equal(t, c.code, out.code, out.stderr)
			if c.code == exitOK {
				assert.Empty(t, out.stderr)
				return
			}
			assert.Contains(t, out.stderr, c.says)
			assert.Equal(t, 1, strings.Count(out.stderr, "\n"), "one line: %q", out.stderr)
			assert.True(t, strings.HasPrefix(out.stderr, "gdiamond: "), out.stderr)
			assert.Empty(t, out.stdout)
		})
	}
}

// Each flag has a twin in the environment, and the command line goes first.
func TestEnvironmentTwins(t *testing.T) {
	d := standalone(t, t.TempDir())
	server := "GDIAMOND_SERVER=" + strings.TrimPrefix(d.server, "http://")

	out := invokeWith(t, "x", []string{server, "GDIAMOND_NAMESPACE=blue", "GDIAMOND_OUTPUT=json", "GDIAMOND_COMMENT=why"}, "publish", "linna")
	require.Equal(t, exitOK, out.code, out.stderr)
	assert.Contains(t, out.stdout, `"namespace": "blue"`)
	assert.Contains(t, d.must("history", "blue/DEFAULT_GROUP/linna"), "why")

	out = invokeWith(t, "", []string{server, "GDIAMOND_NAMESPACE=red"}, "get", "linna", "--namespace", "blue")
	assert.Equal(t, outcome{exitOK, "x", ""}, out)

	out = invokeWith(t, "", []string{server, "GDIAMOND_TIMEOUT=soon"}, "get", "linna")
	assert.Equal(t, exitUsage, out.code)
	assert.Contains(t, out.stderr, "GDIAMOND_TIMEOUT")

	// What is said once for all commands yields to the KEY of one.
	out = invokeWith(t, "", []string{server, "GDIAMOND_NAMESPACE=red"}, "get", "blue/DEFAULT_GROUP/linna")
	assert.Equal(t, outcome{exitOK, "x", ""}, out)

	// A server on the command line beats a name server in the environment.
	out = invokeWith(t, "", []string{"GDIAMOND_NAMESRV=http://127.0.0.1:1"}, "get", "blue/DEFAULT_GROUP/linna", "--server", strings.TrimPrefix(d.server, "http://"))
	assert.Equal(t, outcome{exitOK, "x", ""}, out)
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "content")
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}
