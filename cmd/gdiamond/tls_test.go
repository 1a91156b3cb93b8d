package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/certtest"
)

// A name server, a server and a client with TLS, from the command line: the token is kept with
// the authority, a client without the authority refuses the server, and one that is told by a
// name server with TLS of a server without refuses that.
func TestTLS_CommandLine(t *testing.T) {
	ca, dir := certtest.NewAuthority(t), t.TempDir()
	ca.Write(t, dir, "127.0.0.1")
	file := func(name string) string { return filepath.Join(dir, name) }
	certs := []string{"--tls-cert", file("cert.pem"), "--tls-key", file("key.pem")}
	names := startUnready(t, append([]string{"namesrv", "--listen", "127.0.0.1:0"}, certs...)...)
	require.True(t, strings.HasPrefix(names.namesrv, "https://"), names.namesrv)
	data := filepath.Join(t.TempDir(), "data")
	node := startUnready(t, append([]string{"server", "--listen", "127.0.0.1:0", "--data", data, "--rights", "--namesrv", names.namesrv, "--tls-ca", file("ca.pem"), "--tls-client-ca", file("ca.pem")}, certs...)...)
	require.True(t, strings.HasPrefix(node.server, "https://"), node.server)

	home := []string{"XDG_CONFIG_HOME=" + t.TempDir()}
	token := filepath.Join(data, tokenFileName)
	refused := invokeWith(t, "", append(home, "GDIAMOND_TIMEOUT=2s"), "login", "--server", node.server, token)
	assert.Equal(t, 1, refused.code)
	assert.Contains(t, refused.stderr, "unknown authority")
	in := invokeWith(t, "", home, "login", "--server", node.server, "--tls-ca", file("ca.pem"), token)
	require.Zero(t, in.code, in.stderr)
	who := invokeWith(t, "", home, "whoami")
	require.Zero(t, who.code, who.stderr)
	assert.Contains(t, who.stdout, "token:setup")

	require.Eventually(t, func() bool {
		found := invokeWith(t, "", nil, "whoami", "--namesrv", names.namesrv, "--tls-ca", file("ca.pem"), "--token-file", token)
		return found.code == 0
	}, time.Minute, 10*time.Millisecond, "found by the name server")
	// A client certificate proves a name.
	cert := invokeWith(t, "", nil, append([]string{"whoami", "--server", node.server, "--tls-ca", file("ca.pem")}, certs...)...)
	assert.Contains(t, cert.stderr+cert.stdout, "cert", cert.stderr)

	// The certificate is replaced, and the server runs on.
	ca.Write(t, dir, "127.0.0.1")
	require.Eventually(t, func() bool {
		again := invokeWith(t, "", home, "whoami")
		require.Zero(t, again.code, again.stderr)
		return strings.Contains(node.stderr.String(), "certificate replaced")
	}, time.Minute, 100*time.Millisecond)

	plain := start(t, "server", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--namesrv", names.namesrv, "--tls-ca", file("ca.pem"))
	require.True(t, strings.HasPrefix(plain.server, "http://"))
	node.kill()
	require.NoError(t, os.Remove(token))
}

// Flags that would protect less than was meant are refused.
func TestTLS_FlagsThatAreRefused(t *testing.T) {
	for says, args := range map[string][]string{
		"tls-cert: give both":       {"--tls-cert", "a"},
		"tls-cert: give both ":      {"--tls-key", "a"},
		"tls-client-ca: needs":      {"--tls-client-ca", "a"},
		"tls-client-auth: needs":    {"--tls-cert", "a", "--tls-key", "b", "--tls-client-auth", "required"},
		`"maybe" is neither option`: {"--tls-client-auth", "maybe"},
	} {
		for _, command := range []string{"server", "standalone", "namesrv"} {
			out := invoke(t, append([]string{command}, args...)...)
			assert.Equal(t, 2, out.code, out.stderr)
			assert.Contains(t, out.stderr, strings.TrimSpace(says))
		}
	}
}
