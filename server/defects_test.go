package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/memnet"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// nameServer runs a name server at addr, and returns what makes its clients.
func (m *mesh) nameServer(addr string, secret cluster.Secret) (client func() *namesrv.Client) {
	srv := &http.Server{Handler: namesrv.NewRegistry(namesrv.WithSecret(secret))}
	place := m.place(addr, &addressed{Listener: memnet.Listen(), addr: addr})
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(place) }()
	m.t.Cleanup(func() {
		assert.NoError(m.t, srv.Close())
		assert.ErrorIs(m.t, <-ended, http.ErrServerClosed)
	})
	return func() *namesrv.Client {
		pool := &http.Transport{DialContext: m.dial}
		m.t.Cleanup(pool.CloseIdleConnections)
		c, err := namesrv.NewClient([]string{"http://" + addr}, namesrv.WithSecret(secret), namesrv.WithHTTPClient(&http.Client{Transport: pool}))
		require.NoError(m.t, err)
		return c
	}
}

// A publish at one node wakes those who wait at the others, with either protocol
// (L6). Who the others are is known from the registry: nodes that are on no name
// server's host, that come later, or leave, and no name server is told (S27).
func TestDefect_S27_L6_PublishHereWakesPollersThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const a4, names = "10.0.0.4:1210", "10.0.0.9:8080"
		secret, err := cluster.NewSecret(clusterSecret)
		require.NoError(t, err)
		m := newMesh(t)
		client := m.nameServer(names, secret)
		start := func(addr string) *member {
			c := client()
			return m.run(addr, clusterSecret, seldom, server.WithRegistry(c, addr), server.WithPeers(c, secret))
		}
		nodes := []*member{start(a1), start(a2), start(a3)}
		known := func(want int) {
			t.Helper()
			time.Sleep(15 * time.Second)
			for _, n := range nodes {
				_, body := n.get("/readyz?verbose")
				require.Contains(t, body, fmt.Sprintf("[+] peers: %d of %d take nudges\n", want, want))
			}
		}
		known(2)
		key, content := conf.NewKey("", "k"), "first"
		nodes[0].publish(key, content)
		time.Sleep(time.Second)
		// tells publishes at one node, and requires that all who wait at all nodes are told.
		tells := func(from *member, next string) {
			t.Helper()
			told := make(chan time.Time, 2*len(nodes))
			for _, n := range nodes {
				go func() {
					res, err := n.poll("k", content)
					if assert.NoError(t, err) {
						assert.Equal(t, http.StatusOK, res.StatusCode, "it ended for a change")
					}
					told <- time.Now()
				}()
				go func() {
					res, err := over(t, "node", n.client).Poll(t.Context(), &conf.PollRequest{
						Set: conf.HashKeys([]conf.Key{key}), Keys: []conf.Key{key}, Position: n.srv.Status().Position, Wait: time.Minute,
					})
					if assert.NoError(t, err) && assert.Len(t, res.Changed, 1) {
						assert.Equal(t, next, res.Changed[0].Entry.Content)
					}
					told <- time.Now()
				}()
			}
			synctest.Wait()
			for _, n := range nodes {
				require.Equal(t, 2, n.srv.Status().Waiters)
			}
			begun := time.Now()
			from.publish(key, next)
			for range cap(told) {
				assert.LessOrEqual(t, (<-told).Sub(begun), 50*time.Millisecond, "not at its timeout, nor after two minutes")
			}
			content = next
		}
		for i := range 6 {
			tells(nodes[i%3], fmt.Sprint("of three ", i))
		}
		nodes = append(nodes, start(a4))
		known(3)
		for i := range 4 {
			tells(nodes[i], fmt.Sprint("of four ", i))
		}
		gone := nodes[3]
		gone.stop()
		gone.wait()
		nodes = nodes[:3]
		known(2)
		before := len(gone.nudgesTo(nodes[0], a4))
		tells(nodes[0], "of three again")
		assert.Len(t, gone.nudgesTo(nodes[0], a4), before, "who has left is told nothing")
		for _, n := range nodes {
			for _, c := range n.wire.captured() {
				require.NotEqual(t, names, c.req.URL.Host, "a name server is no peer")
			}
		}
	})
}

// The storage is away, or hangs, for ten minutes: reads and listeners go on,
// publishes say why they fail, a node can be started without it, and it recovers
// by itself. The original ended within two minutes, and could not be started.
func TestDefect_S17_TenMinutesWithoutTheStorage(t *testing.T) {
	for name, trouble := range map[string]func(*away, bool){
		"away":  func(s *away, on bool) { s.down.Store(on) },
		"hangs": func(s *away, on bool) { s.hangs.Store(on) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared, local := &away{Store: memstore.New()}, memstore.New()
				var node atomic.Pointer[running]
				start := func() *running {
					srv, err := diamond.NewServer(shared, diamond.WithReplica(local))
					require.NoError(t, err)
					node.Store(hosted(t, srv))
					return node.Load()
				}
				r := start()
				key := conf.NewKey("", "a")
				r.publish(key, "before")
				// A client that follows the key throughout, and one of the original protocol.
				pool := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					return node.Load().listener.DialContext(ctx, network, addr)
				}}
				defer pool.CloseIdleConnections()
				client, err := diamond.NewClient(over(t, "127.0.0.1", &http.Client{Transport: pool}))
				require.NoError(t, err)
				defer func() { assert.NoError(t, client.Close()) }()
				told := make(chan string, 100)
				_, err = client.Subscribe(key, diamond.ListenerFunc(func(_ context.Context, c conf.Config) error {
					told <- c.Content
					return nil
				}))
				require.NoError(t, err)
				require.Equal(t, "before", <-told)

				trouble(shared, true)
				const outage = 10 * time.Minute
				begun, restarted, rounds := time.Now(), false, 0
				for ; time.Since(begun) < outage; rounds++ {
					time.Sleep(5 * time.Second)
					for _, path := range []string{"/v1/configs/public/DEFAULT_GROUP/a", "/diamond-server/config?dataId=a&group=DEFAULT_GROUP"} {
						res, body := r.get(path)
						require.Equal(t, http.StatusOK, res.StatusCode)
						require.Equal(t, "before", body)
					}
					res, _ := r.get("/v1/configs/public/DEFAULT_GROUP/a")
					assert.NotEmpty(t, res.Header.Get("Diamond-Stale"))
					res, _ = r.get("/readyz")
					require.Equal(t, http.StatusOK, res.StatusCode)
					require.Equal(t, http.StatusServiceUnavailable, r.request("PUT", "/v1/configs/public/DEFAULT_GROUP/a", "lost"))
					form := url.Values{"dataId": {"a"}, "group": {"DEFAULT_GROUP"}, "content": {"lost"}}
					require.Equal(t, http.StatusServiceUnavailable, r.request("POST", "/diamond-server/publishConfig?"+form.Encode(), ""))
					_, err := client.Publish(t.Context(), conf.Draft{Key: key, Content: "lost"})
					require.True(t, errors.Is(err, conf.ErrUnavailable) || errors.Is(err, conf.ErrUnknownOutcome), "%v", err)
					if !restarted && time.Since(begun) > outage/2 {
						restarted = true
						r.stop()
						r.wait()
						r = start()
					}
				}
				res, err := r.poll("a", "before")
				require.NoError(t, err)
				assert.Equal(t, http.StatusNotModified, res.StatusCode, "those who wait are answered at their time")
				assert.Empty(t, told, "nobody is told of what is not so")
				assert.Greater(t, rounds, 5)

				trouble(shared, false)
				time.Sleep(40 * time.Second) // what hangs is given up after half a minute
				require.NoError(t, r.srv.Status().Storage)
				require.Equal(t, http.StatusOK, r.request("PUT", "/v1/configs/public/DEFAULT_GROUP/a", "after"))
				assert.Equal(t, "after", <-told)
				past, err := r.srv.History(t.Context(), &conf.HistoryRequest{Key: key})
				require.NoError(t, err)
				assert.Len(t, past.Changes, 2, "nothing of what failed")
			})
		})
	}
}
