package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// profilesFile makes a directory for settings with a file of profiles, and returns the
// variable that names the directory, and the file.
func profilesFile(t *testing.T, content string) (env, file string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "gdiamond", profilesName)
	if content != "" {
		require.NoError(t, os.Mkdir(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	}
	return "XDG_CONFIG_HOME=" + dir, file
}

const twoProfiles = `current: prod
profiles:
  prod:
    server: [10.0.0.1:1210]
    token: gd_prod
  test:
    namesrv: [http://10.0.0.2:8080]
    token: gd_test
`

// The command line goes first, then the environment, then the settings file, then the
// profile; and the token of a profile is for the servers of the profile only.
func TestIdentity_Precedence(t *testing.T) {
	settings := settingsFile(t, "get:\n  token-file: /settings/token\n")
	cases := []struct {
		name, args string
		env        []string
		servers    string // of the profile that is used
		proof      proof
		says       string // the error
	}{
		{name: "the current profile", servers: "10.0.0.1:1210", proof: proof{token: "gd_prod"}},
		{name: "a profile of the command line", args: "--profile test", servers: "http://10.0.0.2:8080", proof: proof{token: "gd_test"}},
		{name: "a profile of the environment", env: []string{"GDIAMOND_PROFILE=test"}, servers: "http://10.0.0.2:8080", proof: proof{token: "gd_test"}},
		{name: "the command line before the environment", args: "--profile prod", env: []string{"GDIAMOND_PROFILE=test", "GDIAMOND_TOKEN=gd_env", "GDIAMOND_SERVER=10.9.9.9:1"}, servers: "10.0.0.1:1210", proof: proof{token: "gd_prod"}},
		{name: "a token of the environment before the profile", env: []string{"GDIAMOND_TOKEN=gd_env\n"}, servers: "10.0.0.1:1210", proof: proof{token: "gd_env"}},
		{name: "a token of the environment before that of its profile", env: []string{"GDIAMOND_TOKEN=gd_env", "GDIAMOND_PROFILE=test"}, servers: "http://10.0.0.2:8080", proof: proof{token: "gd_env"}},
		{name: "a file of the command line", args: "--token-file /t", env: []string{"GDIAMOND_TOKEN=gd_env"}, servers: "10.0.0.1:1210", proof: proof{file: "/t"}},
		{name: "a file and a profile of the command line", args: "--token-file /t --profile test", servers: "http://10.0.0.2:8080", proof: proof{file: "/t"}},
		{name: "a file of the environment", env: []string{"GDIAMOND_TOKEN_FILE=/e"}, servers: "10.0.0.1:1210", proof: proof{file: "/e"}},
		{name: "a file of the settings", args: "--config " + settings, servers: "10.0.0.1:1210", proof: proof{file: "/settings/token"}},
		{name: "the environment before the settings", args: "--config " + settings, env: []string{"GDIAMOND_TOKEN=gd_env"}, servers: "10.0.0.1:1210", proof: proof{token: "gd_env"}},
		{name: "both in the environment", env: []string{"GDIAMOND_TOKEN=gd_env", "GDIAMOND_TOKEN_FILE=/e"}, says: "GDIAMOND_TOKEN and GDIAMOND_TOKEN_FILE"},
		{name: "other servers get no token of a profile", args: "--server 10.9.9.9:1", servers: ""},
		{name: "nor those of the environment", env: []string{"GDIAMOND_SERVER=10.9.9.9:1"}, servers: ""},
		{name: "nor name servers", args: "--namesrv http://10.9.9.9:1", servers: ""},
		{name: "servers before a profile of the environment", args: "--server 10.9.9.9:1", env: []string{"GDIAMOND_PROFILE=test"}, servers: ""},
		{name: "servers with a token of their own", args: "--server 10.9.9.9:1", env: []string{"GDIAMOND_TOKEN=gd_env"}, servers: "", proof: proof{token: "gd_env"}},
		{name: "servers and a profile", args: "--server 10.9.9.9:1 --profile test", says: "profile: it names its servers itself"},
		{name: "no such profile", args: "--profile none", says: `there is no profile "none"`},
	}
	for _, c := range cases {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			dir, _ := profilesFile(t, twoProfiles)
			for _, v := range append(c.env, dir) {
				name, value, _ := strings.Cut(v, "=")
				t.Setenv(name, value)
			}
			var with connection
			root := newRoot(func() {})
			root.RemoveCommand(root.Commands()...)
			get := &cobra.Command{Use: "get", RunE: func(*cobra.Command, []string) error { return nil }}
			with.flags(get)
			root.AddCommand(get)
			root.SetArgs(append([]string{"get"}, strings.Fields(c.args)...))
			require.NoError(t, root.Execute())
			from, err := with.selected()
			var as proof
			if err == nil {
				as, err = with.proof(from)
			}
			if c.says != "" {
				require.ErrorContains(t, err, c.says)
				assert.Equal(t, exitUsage, exitCode(err))
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.servers, strings.Join(append(from.Servers, from.NameServers...), ","))
			assert.Equal(t, c.proof, as)
		})
	}
}

func TestProfile_LsUseLogout(t *testing.T) {
	env, file := profilesFile(t, twoProfiles)
	do := func(args ...string) outcome { return invokeWith(t, "", []string{env}, args...) }
	out := do("profile", "ls")
	assert.Equal(t, "NAME  CURRENT  SERVERS               TOKEN\nprod  yes      10.0.0.1:1210         yes\ntest  -        http://10.0.0.2:8080  yes\n", out.stdout, out.stderr)
	assert.NotContains(t, do("profile", "ls", "-o", "json").stdout, "gd_")
	out = do("profile", "use", "none")
	assert.Equal(t, exitUsage, out.code)
	assert.Equal(t, exitOK, do("profile", "use", "test").code)
	all := func() string {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		info, err := os.Stat(file)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		return string(data)
	}
	assert.Contains(t, all(), "current: test")
	assert.Contains(t, all(), "gd_prod", "the others stay")
	assert.Equal(t, exitOK, do("logout").code)
	assert.NotContains(t, all(), "gd_test")
	assert.NotContains(t, all(), "current")
	assert.Contains(t, all(), "gd_prod")
	assert.Equal(t, exitUsage, do("logout").code, "there is no current one")
	assert.Equal(t, exitOK, do("logout", "--profile", "prod").code)
	assert.NotContains(t, all(), "gd_")
	assert.Equal(t, "[]\n", do("profile", "ls", "-o", "json").stdout)
}

// A file that others can read, or that is none, is refused, and nothing of it is shown.
func TestProfile_BadFiles(t *testing.T) {
	cases := map[string]struct{ content, says string }{
		"unknown field": {"profiles:\n  a:\n    tokne: canary\n", "is not a file of profiles: line 3"},
		"wrong kind":    {"profiles: canary\n", "is not a file of profiles: line 1"},
		"not YAML":      {"{canary", "not valid YAML"},
		"unknown top":   {"profile: {a: {token: canary}}\n", "is not a file of profiles: line 1"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			env, _ := profilesFile(t, c.content)
			out := invokeWith(t, "", []string{env}, "profile", "ls")
			assert.Equal(t, exitError, out.code)
			assert.Contains(t, out.stderr, c.says)
			assert.NotContains(t, out.stderr, "canary")
			assert.Equal(t, 1, strings.Count(out.stderr, "\n"), "one line: %q", out.stderr)
		})
	}
	env, file := profilesFile(t, twoProfiles)
	require.NoError(t, os.Chmod(file, 0o644))
	for _, args := range []string{"get x", "profile ls", "profile use test", "logout", "login --server 127.0.0.1:1"} {
		out := invokeWith(t, "", []string{env}, strings.Fields(args)...)
		assert.Equal(t, exitError, out.code)
		assert.Contains(t, out.stderr, "has mode 0644, so that everybody on this machine can read it", args)
	}
	require.NoError(t, os.Remove(file))
	require.NoError(t, os.Mkdir(file, 0o700))
	assert.Contains(t, invokeWith(t, "", []string{env}, "profile", "ls").stderr, "is not a regular file")
}
