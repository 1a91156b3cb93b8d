package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/certtest"
)

// peerFiles returns the flags for what certtest writes in dir.
func peerFiles(dir string) []string {
	return []string{
		"--peer-cert", filepath.Join(dir, "cert.pem"), "--peer-key", filepath.Join(dir, "key.pem"), "--peer-ca", filepath.Join(dir, "ca.pem"),
	}
}

// What is incomplete is said before anything has begun.
func TestPeerListen_Incomplete(t *testing.T) {
	dir := t.TempDir()
	certtest.NewAuthority(t).Write(t, dir, "127.0.0.1")
	files := strings.Join(peerFiles(dir), " ")
	const database = "--mysql u@tcp(127.0.0.1:1)/d --namesrv http://127.0.0.1:1"
	for line, says := range map[string]string{
		database + " --peer-listen 127.0.0.1:0": "peer-cert: give --peer-listen, --peer-cert, --peer-key and --peer-ca",
		database + " " + files:                  "peer-listen: give",
		database + " --peer-ca x":               "peer-listen: give",
		database + " --peer-listen 127.0.0.1:0 " + strings.Join(peerFiles(dir)[:4], " "): "peer-ca: give",
		database + " --peer-listen nowhere " + files:                                     "peer-listen: address nowhere",
		"--peer-listen 127.0.0.1:0 " + files:                                             "give --mysql",
		"--mysql u@tcp(127.0.0.1:1)/d --peer-listen 127.0.0.1:0 " + files:                "give --namesrv or --peer",
	} {
		t.Run(says, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			out := invokeWith(t, "", []string{"GDIAMOND_DATA=" + data}, append([]string{"server", "--listen", "127.0.0.1:0"}, strings.Fields(line)...)...)
			assert.Equal(t, exitUsage, out.code, out.stderr)
			assert.Contains(t, out.stderr, says)
			assert.Equal(t, 1, strings.Count(out.stderr, "\n"), "one line: %q", out.stderr)
			assert.NoDirExists(t, data, "nothing was begun")
		})
	}
}

// Files that cannot be used are named. They are settings as all others are.
func TestPeerListen_Files(t *testing.T) {
	dir := t.TempDir()
	certtest.NewAuthority(t).Write(t, dir, "127.0.0.1")
	cert, key, ca := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")
	file := settingsFile(t, "server:\n  listen: 127.0.0.1:0\n  mysql: u@tcp(127.0.0.1:1)/d\n  peer: [10.0.0.12:1210]\n"+
		"  peer-listen: 127.0.0.1:0\n  peer-cert: "+cert+"\n  peer-key: "+key+"\n")
	env := []string{"GDIAMOND_CONFIG=" + file, "GDIAMOND_PEER_CA=" + ca}
	settings := printed(t, env, "server")
	assert.Equal(t, [2]string{"127.0.0.1:0", file + " line 5"}, settings["peer-listen"])
	assert.Equal(t, [2]string{cert, file + " line 6"}, settings["peer-cert"])
	assert.Equal(t, [2]string{ca, "environment variable GDIAMOND_PEER_CA"}, settings["peer-ca"])

	require.NoError(t, os.Chmod(key, 0o644))
	out := invokeWith(t, "", append(env, "GDIAMOND_DATA="+filepath.Join(t.TempDir(), "data")), "server")
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stderr, "everybody on this machine can read it")
	require.NoError(t, os.Remove(key))
	out = invokeWith(t, "", append(env, "GDIAMOND_DATA="+filepath.Join(t.TempDir(), "data")), "server")
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stderr, "key.pem: no such file")
}
