package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
