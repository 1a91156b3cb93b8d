package e2e

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// N3: a name server that has been cut off goes on to list servers that are dead,
// and one that is mute. Clients use the union of all lists, and find out by
// themselves: no request fails.
func TestN3_DeadServersInAList(t *testing.T) {
	store := memstore.New()
	defer store.Close()
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.NewNode(srv, server.WithListener(ln)).Run(ctx) }()
	defer func() {
		stop()
		assert.NoError(t, <-ended)
	}()
	live := ln.Addr().String()

	mute, err := net.Listen("tcp4", "127.0.0.1:0") // takes connections and says nothing
	require.NoError(t, err)
	defer mute.Close()
	const dead = "127.0.0.1:1" // nobody listens there
	fresh, stale := httptest.NewServer(namesrv.NewRegistry()), httptest.NewServer(namesrv.NewRegistry())
	defer fresh.Close()
	defer stale.Close()
	register(t, fresh.URL, live)
	for _, addr := range []string{mute.Addr().String(), dead} {
		register(t, stale.URL, addr)
	}
	names, err := namesrv.NewClient([]string{stale.URL, fresh.URL})
	require.NoError(t, err)
	require.EventuallyWithT(t, func(c *assert.CollectT) { // both have answered
		servers, err := names.Resolve(t.Context())
		require.NoError(c, err)
		require.ElementsMatch(c, []string{live, mute.Addr().String(), dead}, servers)
	}, time.Minute, 10*time.Millisecond)

	// Each begins with a server of its own choice.
	var asking sync.WaitGroup
	for range 10 {
		asking.Go(func() {
			over := transport.NewBalancer(names, httptransport.Dialer())
			defer over.Close()
			for range 20 {
				_, err := over.Fetch(ctx, &conf.FetchRequest{Key: key("a")})
				assert.NoError(t, err)
			}
		})
	}
	asking.Wait()
}

// register registers a server for an hour.
func register(t *testing.T, names, addr string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, names+"/v1/servers/"+url.PathEscape(addr)+"?ttl=1h", nil)
	require.NoError(t, err)
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
}
