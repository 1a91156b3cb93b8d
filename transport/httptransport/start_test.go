package httptransport_test

import (
	"net"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// One of three servers is dead, mute or draining. A program that starts with
// all defaults, a thousand times, over real sockets, has the present value each
// time, and within a second.
func TestEveryStartHasThePresentValue(t *testing.T) {
	store := memstore.New()
	defer func() { require.NoError(t, store.Close()) }()
	var servers []diamond.Server // of one case
	serve := func(t *testing.T) (diamond.Server, string) {
		srv, err := diamond.NewServer(store)
		require.NoError(t, err)
		servers = append(servers, srv)
		hs := httptest.NewServer(httptransport.NewHandler(srv))
		t.Cleanup(func() {
			hs.CloseClientConnections()
			hs.Close()
			require.NoError(t, srv.Close())
		})
		return srv, hs.Listener.Addr().String()
	}
	for name, unwell := range map[string]func(t *testing.T) (addr string){
		"dead": func(t *testing.T) string {
			l := listener(t)
			require.NoError(t, l.Close())
			return l.Addr().String()
		},
		"mute": func(t *testing.T) string { return listener(t).Addr().String() }, // the kernel takes connections
		"draining": func(t *testing.T) string {
			srv, addr := serve(t)
			srv.Drain()
			return addr
		},
	} {
		t.Run(name, func(t *testing.T) {
			servers = nil
			addr := unwell(t)
			writer, one := serve(t)
			_, two := serve(t)
			k := key("k")
			_, err := writer.Commit(t.Context(), &diamond.CommitRequest{Set: diamond.ChangeSet{Drafts: []diamond.Draft{{Key: k, Content: name}}}})
			require.NoError(t, err)
			for _, srv := range servers { // the one that drains too, which answers reads
				require.Eventually(t, func() bool {
					res, err := srv.Fetch(t.Context(), &diamond.FetchRequest{Key: k})
					return err == nil && res.Entry.Content == name
				}, time.Minute, 10*time.Millisecond)
			}
			first := 0
			for range campaign.Scale(t, 50, 1000) {
				var asked dialled
				b := transport.Balance(transport.Static(addr, one, two), asked.dial)
				client, err := diamond.NewClient(b)
				require.NoError(t, err)
				started := time.Now()
				config, err := client.Get(t.Context(), k)
				took := time.Since(started)
				require.NoError(t, err)
				assert.Equal(t, name, config.Content)
				assert.Equal(t, diamond.SourceServer, config.Source)
				if asked.first.Load().(string) == addr {
					first++
					if name != "draining" { // which answers reads
						assert.GreaterOrEqual(t, asked.count.Load(), int32(2), "servers asked")
					}
				}
				if campaign.On() {
					assert.Less(t, took, time.Second)
				}
				require.NoError(t, client.Close())
				b.Close()
			}
			assert.NotZero(t, first, "starts that asked the one that is %s first", name)
		})
	}
}

// dialled counts the servers that were asked.
type dialled struct {
	first atomic.Value // string
	count atomic.Int32
}

func (d *dialled) dial(addr string) (diamond.Transport, error) {
	d.first.CompareAndSwap(nil, addr)
	d.count.Add(1)
	return httptransport.Dial(addr)
}

// listener listens, and nobody answers.
func listener(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}
