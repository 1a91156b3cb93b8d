package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// The address that a proof brings, which rights and the audit go by, is that of the client
// behind two proxies, if both are trusted.
func TestWithTrustedProxies(t *testing.T) {
	for want, opts := range map[string][]server.Option{
		"127.0.0.1":    nil,
		"10.0.0.5":     {server.WithTrustedProxies(netip.MustParsePrefix("127.0.0.1/32"))},
		"198.51.100.7": {server.WithTrustedProxies(netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/24"))},
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		run(t, append(opts, server.WithListener(ln), server.WithHandler("/address", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			proof, _ := httptransport.ReadProof(r)
			host, _, _ := net.SplitHostPort(proof.Address)
			fmt.Fprint(w, host)
		})))...)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ln.Addr().String()+"/address", nil)
		require.NoError(t, err)
		req.Header["X-Forwarded-For"] = []string{"203.0.113.1, 198.51.100.7", "10.0.0.5"}
		pool := new(http.Transport)
		res, err := (&http.Client{Transport: pool}).Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		require.NoError(t, err)
		assert.Equal(t, want, string(body))
		pool.CloseIdleConnections()
	}
}

// The host of the external URL is an allowed one, and nothing but a URL is taken.
func TestWithExternalURL(t *testing.T) {
	r := run(t, server.WithExternalURL("https://conf.example/"))
	for host, status := range map[string]int{"conf.example": http.StatusOK, "evil.example": http.StatusForbidden} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://node/diamond-server/publishConfig?dataId=a&group=g&content=x", nil)
		require.NoError(t, err)
		req.Host = host
		res, err := r.client.Do(req)
		require.NoError(t, err)
		res.Body.Close()
		assert.Equal(t, status, res.StatusCode, host)
	}
	for _, wrong := range []string{"", "conf.example", "ftp://conf.example", "https://", "https://u@conf.example", "https://conf.example?a"} {
		r := run(t, server.WithExternalURL(wrong))
		assert.ErrorIs(t, <-r.ended, conf.ErrInvalid, wrong)
		close(r.ended)
	}
}
