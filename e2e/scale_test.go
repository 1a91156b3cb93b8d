package e2e

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/boltstore"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// listen runs a node on a store of its own and a real port.
func listen(t *testing.T) (srv diamond.Server, addr string) {
	t.Helper()
	store, err := boltstore.Open(t.TempDir())
	require.NoError(t, err)
	srv, err = diamond.NewServer(store)
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.NewNode(srv, server.WithListener(ln)).Run(ctx) }()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-ended)
		assert.NoError(t, store.Close())
	})
	return srv, ln.Addr().String()
}

// patient is for servers on a disk that is slow at times.
func patient(over *httptransport.Transport) { httptransport.WithTimeout(time.Minute)(over) }

// dial returns a transport to addr that is closed at the end of the test.
func dial(t *testing.T, addr string) *httptransport.Transport {
	over, err := httptransport.New(addr, patient)
	require.NoError(t, err)
	t.Cleanup(over.Close)
	return over
}

func setOf(dataID, content string) diamond.ChangeSet {
	return diamond.ChangeSet{Drafts: []diamond.Draft{{Key: key(dataID), Content: content}}}
}

// Readers and writers of one key, from 200 bytes to 1 MB, on both protocols:
// no read is torn, none is empty, and none fails.
func TestDefect_S1_S2_NoTornReads(t *testing.T) {
	srv, addr := listen(t)
	over := dial(t, addr)
	seconds := campaign.Scale(t, 2, 30)
	sizes := []int{200, 3000, 64 << 10, 1 << 20}
	value := func(version int) string {
		head := fmt.Sprintf("%010d ", version)
		return head + strings.Repeat(string(rune('a'+version%26)), sizes[version%len(sizes)]-len(head))
	}
	whole := func(content string) bool {
		var version int
		if _, err := fmt.Sscanf(content[:min(10, len(content))], "%010d", &version); err != nil {
			return false
		}
		return content == value(version)
	}
	_, err := over.Commit(t.Context(), &conf.CommitRequest{Set: setOf("torn", value(0))})
	require.NoError(t, err)

	ctx, stop := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second)
	defer stop()
	var reads, writes atomic.Int64
	var version atomic.Int64
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for ctx.Err() == nil {
				_, err := over.Commit(t.Context(), &conf.CommitRequest{Set: setOf("torn", value(int(version.Add(1))))})
				assert.NoError(t, err)
				writes.Add(1)
			}
		})
	}
	network := &http.Transport{DisableCompression: true}
	defer network.CloseIdleConnections()
	for i := range 8 {
		all.Go(func() {
			for ctx.Err() == nil {
				if i%2 == 0 {
					resp, err := over.Fetch(t.Context(), &conf.FetchRequest{Key: key("torn")})
					if !assert.NoError(t, err) || !assert.True(t, resp.Found && whole(resp.Entry.Content)) {
						return
					}
				} else {
					res, err := (&http.Client{Transport: network}).Get("http://" + addr + "/diamond-server/config?dataId=torn&group=DEFAULT_GROUP")
					if !assert.NoError(t, err) {
						return
					}
					body, err := io.ReadAll(res.Body)
					res.Body.Close()
					sum := md5.Sum(body)
					if !assert.NoError(t, err) || !assert.Equal(t, http.StatusOK, res.StatusCode) || !assert.True(t, whole(string(body))) ||
						!assert.Equal(t, hex.EncodeToString(sum[:]), res.Header.Get("Content-MD5"), "header and body are of one version") {
						return
					}
				}
				reads.Add(1)
			}
		})
	}
	all.Wait()
	assert.True(t, srv.Status().Ready)
	t.Logf("%d reads, %d writes", reads.Load(), writes.Load())
}

// Publishes for which nobody polls leave no goroutine, no file and no memory
// behind, and the next poll is told of nothing.
func TestDefect_L4_S19_NothingIsLeftBehind(t *testing.T) {
	srv, addr := listen(t)
	network := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(network.CloseIdleConnections)
	client := &http.Client{Transport: network}
	publish := func(n int) {
		var all sync.WaitGroup
		for w := range 16 {
			all.Go(func() {
				for i := w; i < n; i += 16 {
					res, err := client.PostForm("http://"+addr+"/diamond-server/publishConfig",
						url.Values{"dataId": {fmt.Sprint("key-", i%100)}, "group": {"DEFAULT_GROUP"}, "content": {fmt.Sprint("value ", i)}})
					if !assert.NoError(t, err) {
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
					assert.Equal(t, http.StatusOK, res.StatusCode)
				}
			})
		}
		all.Wait()
	}
	heap := func() int {
		network.CloseIdleConnections()
		// The server notices a while after that its connections have ended.
		require.Eventually(t, func() bool { return srv.Status().Inflight == 0 && runtime.NumGoroutine() < 40 }, time.Minute, 10*time.Millisecond)
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	publish(500)
	before := heap()
	n := campaign.Scale(t, 3000, 50_000)
	publish(n)
	assert.Less(t, heap()-before, 8<<20)
	require.Eventually(t, func() bool { return descriptors(t) < 64 }, time.Minute, 10*time.Millisecond)

	req := pollFor(srv.Status().Position, "key-1")
	req.Wait = 50 * time.Millisecond
	resp, err := dial(t, addr).Poll(t.Context(), req)
	require.NoError(t, err)
	assert.Empty(t, resp.Changed)
	assert.Zero(t, srv.Status().Counters.Wakeups)
}

// A thousand keys with several listeners each, of which some panic and some
// never return, in two clients that know nothing of each other.
func TestDefect_C3_C8_C9_C10_C11_ManyKeysTwoClients(t *testing.T) {
	srv, addr := listen(t)
	const keys = 1000
	publish := func(v string) {
		var set diamond.ChangeSet
		for i := range keys {
			set.Drafts = append(set.Drafts, diamond.Draft{Key: key(fmt.Sprint("key-", i)), Content: v})
		}
		_, err := srv.Commit(t.Context(), &conf.CommitRequest{Set: set})
		require.NoError(t, err)
	}
	publish("1")
	release := make(chan struct{})
	var recorders [2][keys][2]recorder
	var clients [2]diamond.Client
	for c := range clients {
		client, err := diamond.NewClient(dial(t, addr))
		require.NoError(t, err)
		clients[c] = client
		for i := range keys {
			k := key(fmt.Sprint("key-", i))
			for j := range recorders[c][i] {
				_, err := client.Subscribe(k, &recorders[c][i][j])
				require.NoError(t, err)
			}
			switch i % 100 {
			case 1:
				_, err = client.Subscribe(k, diamond.ListenerFunc(func(context.Context, diamond.Config) error { panic("at the disco") }))
			case 2:
				_, err = client.Subscribe(k, diamond.ListenerFunc(func(context.Context, diamond.Config) error { <-release; return nil }))
			}
			require.NoError(t, err)
		}
	}
	holding := func(c int, v string) func() bool {
		return func() bool {
			for i := range keys {
				for j := range recorders[c][i] {
					if recorders[c][i][j].last() != v {
						return false
					}
				}
			}
			return true
		}
	}
	for c := range clients {
		require.Eventually(t, holding(c, "1"), time.Minute, 20*time.Millisecond)
	}
	publish("2")
	for c := range clients {
		require.Eventually(t, holding(c, "2"), time.Minute, 20*time.Millisecond, "%d of %d", keys, keys)
	}

	close(release)
	require.NoError(t, clients[0].Close())
	require.NoError(t, clients[0].Close(), "twice is fine")
	publish("3")
	require.Eventually(t, holding(1, "3"), time.Minute, 20*time.Millisecond, "the other goes on")
	i := rand.IntN(keys)
	assert.Equal(t, "2", recorders[0][i][0].last(), "and the closed one hears nothing")
	assert.Equal(t, []string{"1", "2", "3"}, recorders[1][i][1].contents())
	require.NoError(t, clients[1].Close())
}
