package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the README promises: one command, then three requests.
func TestNewcomer_ThreeRequests(t *testing.T) {
	data := filepath.Join(t.TempDir(), "gdiamond-data")
	d := standalone(t, data)

	status, _ := httpDo(t, http.MethodPost, d.server+"/diamond-server/publishConfig?dataId=linna&group=DEFAULT_GROUP&content=helloWorld")
	require.Equal(t, http.StatusOK, status)
	status, body := httpDo(t, http.MethodGet, d.server+"/diamond-server/config?dataId=linna&group=DEFAULT_GROUP")
	require.Equal(t, http.StatusOK, status)
	assert.Equal(t, "helloWorld", body)

	require.Eventually(t, func() bool {
		_, body := httpDo(t, http.MethodGet, d.namesrv+"/namesrv/addrs")
		return strings.Contains(body, strings.TrimPrefix(d.server, "http://"))
	}, 60*time.Second, 10*time.Millisecond, "the name server lists the server")

	assert.DirExists(t, data)
	// The value is the same by every way in.
	assert.Equal(t, "helloWorld", d.must("get", "linna"))
	out := invoke(t, "get", "linna", "--namesrv", d.namesrv)
	assert.Equal(t, outcome{exitOK, "helloWorld", ""}, out)
}

// What is printed is what works: paths, addresses and lines to try.
func TestNewcomer_Greeting(t *testing.T) {
	var b strings.Builder
	greet(&b, "http", "127.0.0.1:1210", "127.0.0.1:8080", "data", "none yet")
	wd, err := os.Getwd()
	require.NoError(t, err)
	assert.Contains(t, b.String(), "rights       none yet\n")
	assert.NotContains(t, b.String(), "login")
	assert.Equal(t, 3, strings.Count(b.String(), "  curl "))
	assert.Contains(t, b.String(), filepath.Join(wd, "data"))
	assert.Contains(t, b.String(), "curl http://127.0.0.1:8080/namesrv/addrs\n")
}

func TestNewcomer_RefusesOtherHosts(t *testing.T) {
	for command, why := range map[string]string{
		"standalone --listen 0.0.0.0:0":                       "--rights",
		"standalone --listen 127.0.0.1:0 --namesrv-listen :0": "--rights",
		"server --listen [::]:0":                              "--rights",
		"namesrv --listen example.org:8080":                   "--cluster-secret-file",
	} {
		t.Run(command, func(t *testing.T) {
			args := strings.Fields(command)
			data := filepath.Join(t.TempDir(), "data")
			out := invokeWith(t, "", []string{"GDIAMOND_DATA=" + data}, args...)
			assert.Equal(t, exitUsage, out.code)
			assert.Contains(t, out.stderr, why)
			assert.Contains(t, out.stderr, "--insecure")
			assert.Equal(t, 1, strings.Count(out.stderr, "\n"), "one line: %q", out.stderr)
			assert.NoDirExists(t, data, "nothing was begun")
		})
	}
}

// With --insecure it listens where it is told.
func TestNewcomer_Insecure(t *testing.T) {
	d := start(t, "server", "--listen", "0.0.0.0:0", "--insecure", "--data", t.TempDir())
	status, _ := httpDo(t, http.MethodGet, strings.Replace(d.server, "[::]", "127.0.0.1", 1)+"/readyz")
	assert.Equal(t, http.StatusOK, status)
}

// The parts run apart too.
func TestNewcomer_PartsApart(t *testing.T) {
	n := start(t, "namesrv", "--listen", "127.0.0.1:0")
	d := start(t, "server", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--namesrv", n.namesrv)
	require.Eventually(t, func() bool {
		_, body := httpDo(t, http.MethodGet, n.namesrv+"/namesrv/addrs")
		return strings.Contains(body, strings.TrimPrefix(d.server, "http://"))
	}, 60*time.Second, 10*time.Millisecond)

	code, _ := d.terminate()
	assert.Equal(t, exitOK, code)
	_, body := httpDo(t, http.MethodGet, n.namesrv+"/namesrv/addrs")
	assert.NotContains(t, body, strings.TrimPrefix(d.server, "http://"), "it took its address back")
}

// A web page that had its own name point at this host must not publish; a DNS
// name that the operator gave may.
func TestNewcomer_AllowedHost(t *testing.T) {
	d := standalone(t, filepath.Join(t.TempDir(), "data"), "--allowed-host", "config.example.com")
	for host, want := range map[string]int{
		"config.example.com": http.StatusOK,
		"evil.example.org":   http.StatusForbidden,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.server+"/diamond-server/publishConfig?dataId=a&group=g&content=x", nil)
		require.NoError(t, err)
		req.Host = host
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		res.Body.Close()
		assert.Equal(t, want, res.StatusCode, host)
	}
}
