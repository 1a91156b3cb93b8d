package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/transport/httptransport"
)

// A server that is the only one may take as long as the command says, for
// commands that ask once, too.
func TestConnection_SlowServerAlone(t *testing.T) {
	d := standalone(t, t.TempDir())
	d.must("publish", "linna", writeFile(t, "x"))
	to, err := url.Parse(d.server)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(to)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(leastSilence + time.Second) // real time: the program's own
		proxy.ServeHTTP(w, r)
	}))
	defer slow.Close()
	out := invoke(t, "ls", "--server", slow.Listener.Addr().String(), "--timeout", "60s")
	assert.Equal(t, exitOK, out.code, out.stderr)
	assert.Contains(t, out.stdout, "linna")
}

// A token on its way to another machine in the clear is warned of, once, by the command that is
// given it, and not by each that finds it in a profile.
func TestConnection_WarnsOfATokenOnPlainHTTP(t *testing.T) {
	env, _ := profilesFile(t, "current: default\nprofiles:\n  default: {server: [192.0.2.1], token: gd_canary}\n")
	name, value, _ := strings.Cut(env, "=")
	t.Setenv(name, value)
	for _, c := range []struct {
		connection
		server string
		warns  int
	}{
		{connection{servers: []string{"192.0.2.1"}, as: &proof{token: "gd_canary"}}, "192.0.2.1", 1},
		{connection{servers: []string{"192.0.2.1"}, identity: identity{tokenFile: writeFile(t, "gd_canary")}}, "192.0.2.1", 1},
		{connection{servers: []string{"127.0.0.1"}, as: &proof{token: "gd_canary"}}, "127.0.0.1", 0},
		{connection{servers: []string{"192.0.2.1"}, as: &proof{}}, "192.0.2.1", 0},
		{connection{}, "192.0.2.1", 0},
	} {
		var stderr bytes.Buffer
		c.given, c.timeout, c.stderr = new(pflag.FlagSet), time.Second, func() io.Writer { return &stderr }
		for range 2 {
			_, opts, err := c.way()
			require.NoError(t, err)
			wire, err := httptransport.New(c.server, opts...)
			require.NoError(t, err)
			wire.Close()
		}
		assert.Equal(t, c.warns, strings.Count(stderr.String(), "plain HTTP"), "%+v: %s", c, &stderr)
		assert.NotContains(t, stderr.String(), "canary")
		assert.NotContains(t, stderr.String(), "time=")
	}
}
