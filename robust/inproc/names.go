package inproc

import (
	"context"
	"log/slog"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/robust/proxy"
	"github.com/linnaname/gdiamond/server"
)

// startNames starts the given number of name servers. It returns the clients that nodes and
// clients use, each with separate links, or nil if there are no name servers.
func (w *World) startNames(t testing.TB, count int, secret cluster.Secret) (registry, resolver *namesrv.Client) {
	t.Helper()
	if count == 0 {
		return nil, nil
	}
	var urls [2][]string // of nodes, of clients
	for range count {
		ln, err := proxy.Loopback{}.Listen("")
		require.NoError(t, err)
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() {
			ended <- server.Serve(ctx, ln, namesrv.NewRegistry(namesrv.WithSecret(secret)), slog.New(slog.DiscardHandler))
		}()
		t.Cleanup(func() {
			stop()
			assert.NoError(t, <-ended)
		})
		for who := range urls {
			link := way(t, func(ctx context.Context) (net.Conn, error) { return proxy.Loopback{}.Dial(ctx, ln.Addr().String()) })
			w.Names = append(w.Names, link)
			urls[who] = append(urls[who], "http://"+link.Addr())
		}
	}
	registry, err := namesrv.NewClient(urls[0], namesrv.WithSecret(secret))
	require.NoError(t, err)
	resolver, err = namesrv.NewClient(urls[1])
	require.NoError(t, err)
	return registry, resolver
}

// way returns a proxy to the target of dial, which ends with the test.
func way(t testing.TB, dial proxy.Dial) *proxy.Proxy {
	t.Helper()
	ln, err := proxy.Loopback{}.Listen("")
	require.NoError(t, err)
	link := proxy.New(ln, dial)
	t.Cleanup(link.Close)
	return link
}
