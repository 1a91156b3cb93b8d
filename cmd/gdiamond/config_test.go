package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func settingsFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "gdiamond.yaml")
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

// printed returns the value and the origin of each setting of a command.
func printed(t *testing.T, env []string, args ...string) map[string][2]string {
	t.Helper()
	out := invokeWith(t, "", env, append([]string{"config", "print"}, append(args, "-o", "json")...)...)
	require.Equal(t, exitOK, out.code, out.stderr)
	var list []settingOut
	require.NoError(t, json.Unmarshal([]byte(out.stdout), &list))
	settings := map[string][2]string{}
	for _, s := range list {
		settings[s.Setting] = [2]string{s.Value, s.From}
	}
	return settings
}

// The command line goes first, then the environment, then the file, then the default.
func TestSettings_Precedence(t *testing.T) {
	file := settingsFile(t, `
server:
  listen: 127.0.0.1:1
  data: /from/file
  log-level: debug
  namesrv: [http://a, http://b]
  shutdown-delay: 5s
namesrv:
  listen: 127.0.0.1:2
`)
	env := []string{"GDIAMOND_CONFIG=" + file, "GDIAMOND_DATA=/from/env", "GDIAMOND_LISTEN=127.0.0.1:3"}
	got := printed(t, env, "server", "--listen", "127.0.0.1:4")
	assert.Equal(t, [2]string{"127.0.0.1:4", "command line"}, got["listen"])
	assert.Equal(t, [2]string{"/from/env", "environment variable GDIAMOND_DATA"}, got["data"])
	assert.Equal(t, [2]string{"DEBUG", file + " line 5"}, got["log-level"])
	assert.Equal(t, [2]string{"http://a,http://b", file + " line 6"}, got["namesrv"])
	assert.Equal(t, [2]string{"5s", file + " line 7"}, got["shutdown-delay"])
	assert.Equal(t, [2]string{"false", "default"}, got["insecure"])

	got = printed(t, nil, "namesrv", "--config", file)
	assert.Equal(t, [2]string{"127.0.0.1:2", file + " line 9"}, got["listen"])

	out := invoke(t, "config", "print", "server", "--config", file)
	require.Equal(t, exitOK, out.code, out.stderr)
	assert.True(t, strings.HasPrefix(out.stdout, "SETTING"), out.stdout)
}

// All commands that have settings print them, and do nothing else.
func TestSettings_OfEachCommand(t *testing.T) {
	file := settingsFile(t, "migrate:\n  from-gdiamond: u:canary@/d\n  dry-run: true\nget:\n  namespace: blue\n")
	for _, cmd := range doing() {
		if cmd.Flags().HasFlags() {
			got := printed(t, nil, cmd.Name(), "--config", file)
			cmd.Flags().VisitAll(func(f *pflag.Flag) { assert.Contains(t, got, f.Name, cmd.Name()) })
			continue
		}
		out := invoke(t, "config", "print", cmd.Name())
		assert.Equal(t, exitUsage, out.code, "%s has none", cmd.Name())
	}
	got := printed(t, nil, "migrate", "--config", file)
	assert.Equal(t, [2]string{"(hidden)", file + " line 2"}, got["from-gdiamond"])
	assert.Equal(t, [2]string{"true", file + " line 3"}, got["dry-run"])
	got = printed(t, nil, "get", "--config", file)
	assert.Equal(t, [2]string{"blue", file + " line 5"}, got["namespace"])
	assert.Equal(t, [2]string{"json", "command line"}, got["output"])
	assert.NotContains(t, printed(t, nil, "server"), "output", "it has no such setting")
}

// A command of a group has a section of its own, named by both.
func TestSettings_OfAGroup(t *testing.T) {
	file := settingsFile(t, "token create:\n  expires: 5d\ncreate:\n  expires: 6d\n")
	out := invoke(t, "config", "print", "token", "create", "--config", file)
	assert.Equal(t, exitUsage, out.code)
	assert.Contains(t, out.stderr, `there is no command "create"`)
	file = settingsFile(t, "token create:\n  expires: 5d\ntenant create:\n  owner: ann\n")
	assert.Equal(t, [2]string{"5d", file + " line 2"}, printed(t, nil, "token", "create", "--config", file)["expires"])
	assert.Equal(t, [2]string{"ann", file + " line 4"}, printed(t, nil, "tenant", "create", "--config", file)["owner"])
	assert.Equal(t, [2]string{"90d", "default"}, printed(t, nil, "token", "rotate", "--config", file)["expires"])
	out = invoke(t, "token", "create", "a", "--config", settingsFile(t, "token create:\n  expiry: 5d\n"))
	assert.Equal(t, exitUsage, out.code)
	assert.Contains(t, out.stderr, `token create has no setting "expiry"`)
	assert.Equal(t, exitUsage, invoke(t, "config", "print", "token", "secret").code, "it has no settings")
}

// A server runs with what its file says.
func TestSettings_OfAServerThatRuns(t *testing.T) {
	file := settingsFile(t, "server:\n  listen: 127.0.0.1:0\n  data: "+filepath.Join(t.TempDir(), "data")+"\n")
	d := start(t, "server", "--config", file)
	d.clientWith("x", "publish", "linna")
	assert.Equal(t, "x", d.must("get", "linna"))
}

// A client takes the server that counts most, whichever way it is named.
func TestSettings_OneOfTwoWays(t *testing.T) {
	d := standalone(t, t.TempDir())
	d.clientWith("x", "publish", "linna")
	file := settingsFile(t, "get:\n  namesrv: http://127.0.0.1:1\n")
	assert.Equal(t, "x", d.must("get", "linna", "--config", file))
}

func TestSettings_Errors(t *testing.T) {
	cases := map[string]struct{ file, says string }{
		"no such section":    {"servre:\n  listen: x\n", `no command "servre"`},
		"no such setting":    {"server:\n  listne: x\n", `line 2: server has no setting "listne"`},
		"in another section": {"get:\n  sever: x\n", `get has no setting "sever"`},
		"wrong kind":         {"server:\n  shutdown-delay: soon\n", "line 2"},
		"list for one value": {"server:\n  listen: [a, b]\n", "one value"},
		"mapping":            {"server:\n  listen: {a: b}\n", "plain value"},
		"nothing":            {"server:\n  listen:\n", "plain value"},
		"not a mapping":      {"- a\n", "not a YAML mapping"},
		"not YAML":           {"{", "line 1: not valid YAML"},
		"twice":              {"server:\n  data: a\n  data: b\n", "line 3: a key appears twice"},
		"second document":    {"server:\n  data: a\n---\nserver:\n  listen: x\n", "line 3: more than one document"},
	}
	for name, c := range cases {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			out := invoke(t, "config", "print", "server", "--config", settingsFile(t, c.file))
			assert.Equal(t, exitUsage, out.code)
			assert.Contains(t, out.stderr, c.says)
			assert.Equal(t, 1, strings.Count(out.stderr, "\n"), "one line: %q", out.stderr)
		})
	}
	out := invoke(t, "config", "print", "server", "--config", settingsFile(t, "mysql: u:canary@/d\n"))
	assert.Contains(t, out.stderr, "line 1")
	assert.NotContains(t, out.stderr, "canary", "a value in the wrong place may be a secret")
	out = invoke(t, "config", "print", "server", "--config", settingsFile(t, "server:\n  mysql: *canary\n"))
	assert.Contains(t, out.stderr, "line 2")
	assert.NotContains(t, out.stderr, "canary", "a secret without quotes may be no YAML")
	out = invoke(t, "get", "linna", "--config", filepath.Join(t.TempDir(), "missing"))
	assert.Equal(t, exitUsage, out.code)
	assert.Contains(t, out.stderr, "no such file")

	got := printed(t, nil, "server", "--config", settingsFile(t, ""))
	assert.Equal(t, "default", got["listen"][1], "an empty file is a file without settings")
}
