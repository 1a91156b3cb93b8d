package namesrv

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// The scheme of a server travels: to the list, to clients, and to their copy on disk. Original
// clients are not told of a server that they cannot call.
func TestSchemeOfServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, registry := newMemNet(), NewRegistry()
		net.serve(t, ns1, registry)
		path := filepath.Join(t.TempDir(), "list")
		c := net.client(t, []string{ns1}, WithCacheFile(path))
		stop := register(t, c, "HTTPS://10.0.0.1:1210")
		defer register(t, c, "10.0.0.2:1210")()
		synctest.Wait()
		assert.Equal(t, []string{"10.0.0.2:1210", "https://10.0.0.1:1210"}, resolve(t, c))
		assert.Equal(t, "10.0.0.2\n", text(t, registry))
		servers := list(t, registry).Servers
		require.Len(t, servers, 2)
		assert.Equal(t, []string{"10.0.0.1:1210", "https"}, []string{servers[0].Address, servers[0].Scheme})
		assert.Equal(t, []string{"10.0.0.2:1210", ""}, []string{servers[1].Address, servers[1].Scheme})

		only := net.client(t, []string{ns1}, WithOnlyTLS())
		assert.Equal(t, []string{"https://10.0.0.1:1210"}, resolve(t, only))
		net.kill(ns1)
		later := net.client(t, []string{ns1}, WithCacheFile(path), WithOnlyTLS())
		assert.Equal(t, []string{"https://10.0.0.1:1210"}, resolve(t, later), "from the disk")
		net.serve(t, ns1, registry)

		// It is restarted without TLS, when the name server knows all leases.
		time.Sleep(time.Minute)
		stop()
		put(t, registry, "10.0.0.1:1210", "30s")
		assert.Equal(t, []string{"10.0.0.1:1210", "10.0.0.2:1210"}, resolve(t, c))
		_, err := only.Resolve(t.Context())
		require.ErrorIs(t, err, conf.ErrUnavailable)
		assert.ErrorContains(t, err, "none of the 2 known servers speaks TLS")
	})
}

// A scheme that is not known is not taken for plain HTTP, neither by the one end nor the other.
func TestSchemeThatIsNotKnown(t *testing.T) {
	registry := NewRegistry()
	for _, query := range []string{"scheme=http", "scheme=", "scheme=quic", "scheme=https&scheme=https"} {
		assert.Equal(t, http.StatusBadRequest, ask(registry, http.MethodPut, "/v1/servers/10.0.0.1:1210?"+query).Code, query)
	}
	assert.Empty(t, list(t, registry).Servers)
	_, err := decodeList([]byte(`{"instance":"a","version":1,"servers":[{"address":"10.0.0.1:1210","scheme":"quic"}]}`))
	assert.ErrorIs(t, err, conf.ErrInvalid)
}

// A server in the process of the name server registers without a network.
func TestRegistry_Register(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := NewRegistry()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- registry.Register(ctx, "https://127.0.0.1:1210") }()
		time.Sleep(5 * DefaultLease)
		servers := list(t, registry).Servers
		require.Len(t, servers, 1)
		assert.Equal(t, "https", servers[0].Scheme)
		stop()
		require.NoError(t, <-done)
		assert.Empty(t, list(t, registry).Servers)
		assert.ErrorIs(t, registry.Register(t.Context(), "nobody"), conf.ErrInvalid)
	})
}
