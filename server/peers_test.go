package server_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/server"
)

const (
	a1, a2, a3 = "10.0.0.1:1210", "10.0.0.2:1210", "10.0.0.3:1210"

	clusterSecret = "Wm4vQ0hYc2tP-cluster"
)

// seldom has servers look by themselves so seldom that only nudges count.
var seldom = []diamond.ServerOption{diamond.WithFeedInterval(24 * time.Hour)}

// observer records what a listener at one server is told.
type observer struct {
	mu        sync.Mutex
	revisions []int64 // guarded by mu
}

func (m *member) observe(key conf.Key) *observer {
	o := new(observer)
	client, err := diamond.NewClient(m.srv)
	require.NoError(m.t, err)
	_, err = client.Subscribe(key, diamond.ListenerFunc(func(_ context.Context, c conf.Config) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.revisions = append(o.revisions, c.Revision)
		return nil
	}))
	require.NoError(m.t, err)
	m.t.Cleanup(func() { require.NoError(m.t, client.Close()) })
	return o
}

func (o *observer) seen() []int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]int64(nil), o.revisions...)
}

// With nudges a commit at one server is seen at all others at once; without a
// secret too, where all are on one machine.
func TestPeersSeeCommitsAtOnce(t *testing.T) {
	for _, secret := range []string{clusterSecret, ""} {
		t.Run(fmt.Sprintf("secret %q", secret), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				addrs := []string{a1, a2, a3}
				if secret == "" {
					addrs = []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}
				}
				m := newMesh(t, addrs...)
				var nodes []*member
				for _, addr := range addrs {
					nodes = append(nodes, m.run(addr, secret, seldom))
				}
				time.Sleep(4 * time.Second) // all know each other
				key := conf.NewKey("", "k")
				for i := range 30 {
					want := nodes[i%3].publish(key, fmt.Sprint(i))
					time.Sleep(50 * time.Millisecond)
					for j, n := range nodes {
						require.Equal(t, want, n.srv.Status().Position, "commit %d at node %d", i, j)
					}
				}
				_, body := nodes[0].get("/readyz?verbose")
				assert.Contains(t, body, "[+] peers: 2 of 2 take nudges\n")
				_, body = nodes[0].get("/metrics")
				assert.True(t, strings.Contains(body, `diamond_cluster_members{state="up"} 2`+"\n"))
				assert.True(t, strings.Contains(body, `diamond_cluster_members{state="down"} 0`+"\n"))
				assert.False(t, strings.Contains(body, `diamond_peer_nudges_total{result="delivered"} 0`+"\n"))
				assert.False(t, strings.Contains(body, `diamond_peer_nudges_received_total{result="accepted"} 0`+"\n"))
				assert.True(t, strings.Contains(body, `diamond_http_requests_total{code="204",method="POST",route="/v1/peer/nudge"}`))
			})
		})
	}
}

// N11: whatever becomes of nudges on the way, each server gets to the same state
// by itself, soon, and no listener is told of a revision twice.
func TestN11_NudgesOnlyHint(t *testing.T) {
	for name, break1 := range map[string]func(w *wire){
		"lost":       func(w *wire) { w.lose = true },
		"repeated":   func(w *wire) { w.copies = 10 },
		"late":       func(w *wire) { w.delay = true },
		"as it must": func(*wire) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMesh(t, a1, a2, a3)
				var nodes []*member
				for _, addr := range []string{a1, a2, a3} {
					nodes = append(nodes, m.run(addr, clusterSecret, nil))
				}
				time.Sleep(4 * time.Second)
				key := conf.NewKey("", "k")
				var observers []*observer
				for _, n := range nodes {
					n.wire.set(break1)
					observers = append(observers, n.observe(key))
				}
				var last conf.Position
				for i := range 50 {
					last = nodes[i%3].publish(key, fmt.Sprint(i))
					time.Sleep(rand.N(300 * time.Millisecond))
					// What was kept back arrives now, in any order.
					for _, n := range nodes {
						n.wire.set(func(w *wire) {
							rand.Shuffle(len(w.seen), func(i, j int) { w.seen[i], w.seen[j] = w.seen[j], w.seen[i] })
						})
						if name == "late" {
							for _, c := range n.wire.captured() {
								_, _ = c.send(n.wire)
							}
						}
						n.wire.set(func(w *wire) { w.seen = nil })
					}
				}
				time.Sleep(2 * time.Second)
				for i, n := range nodes {
					assert.Equal(t, last, n.srv.Status().Position, "node %d", i)
					seen := observers[i].seen()
					require.NotEmpty(t, seen)
					assert.IsIncreasing(t, append([]int64{0}, seen...), "node %d: each once, in order", i)
					assert.Equal(t, last.Revision, seen[len(seen)-1])
				}
			})
		})
	}
}

// N11: what was captured yesterday is refused, and what a member of the cluster
// makes up of the future blinds nobody.
func TestN11_ReplayedAndForged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, a1, a2)
		every := []diamond.ServerOption{diamond.WithFeedInterval(10 * time.Second)}
		a, b := m.run(a1, clusterSecret, every), m.run(a2, clusterSecret, every)
		time.Sleep(4 * time.Second)
		key := conf.NewKey("", "k")
		o := b.observe(key)
		a.publish(key, "1")
		time.Sleep(time.Second)
		yesterday := a.wire.captured()
		require.NotEmpty(t, yesterday)
		replay := func() {
			for _, c := range yesterday {
				status, err := c.send(a.wire)
				require.NoError(t, err)
				require.Equal(t, http.StatusForbidden, status)
			}
		}
		replay()
		time.Sleep(24 * time.Hour)
		replay()

		// Somebody who knows the secret, and lies.
		ahead := b.srv.Status().Position
		ahead.Revision += 1 << 40
		elsewhere := conf.Position{Store: conf.StoreID{1}, Revision: 7}
		secret, err := cluster.NewSecret(clusterSecret)
		require.NoError(t, err)
		liar := cluster.NewSigner(secret, &url.URL{Scheme: "http", Host: a2})
		for _, forged := range []conf.Position{ahead, elsewhere, {}} {
			body := strings.NewReader(fmt.Sprintf(`{"position":%q}`, forged))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+a2+"/v1/peer/nudge", body)
			require.NoError(t, err)
			res, err := liar.Do(b.client, req)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, http.StatusNoContent, res.StatusCode)
		}
		last := a.publish(key, "2")
		time.Sleep(time.Second)
		assert.Equal(t, last, b.srv.Status().Position)
		assert.Equal(t, []int64{1, 2}, o.seen())
		replay()
		time.Sleep(2 * time.Minute)
		assert.Equal(t, last, b.srv.Status().Position)
		assert.Equal(t, []int64{1, 2}, o.seen())
	})
}

// A peer that is frozen, or gone, does not slow down a commit, nor the nudges of others.
func TestDefect_S11_FrozenPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, a1, a2, a3, "10.0.0.4:1210", "not an address")
		m.place(a3, &addressed{mute: true})
		a, b := m.run(a1, clusterSecret, seldom), m.run(a2, clusterSecret, seldom)
		time.Sleep(4 * time.Second)
		key := conf.NewKey("", "k")
		for i := range 200 {
			begun := time.Now()
			want := a.publish(key, fmt.Sprint(i))
			require.Zero(t, time.Since(begun), "a commit waits for nobody")
			time.Sleep(50 * time.Millisecond)
			require.Equal(t, want, b.srv.Status().Position)
		}
		_, body := a.get("/readyz?verbose")
		assert.Contains(t, body, "[-] peers: 1 of 4 take nudges; ")
		assert.Contains(t, body, "10.0.0.4:1210: connection refused")
		assert.Contains(t, body, "\nready\n", "which does not make it unready")
		_, body = a.get("/metrics")
		assert.True(t, strings.Contains(body, `diamond_cluster_members{state="down"} 3`+"\n"))
		tries := 0
		for _, c := range a.wire.captured() {
			if c.req.URL.Host == a3 {
				tries++
			}
		}
		assert.Less(t, tries, 15, "10 s of it: each waits for a second, with pauses that grow")

		m.run(a3, clusterSecret, seldom) // it comes back
		time.Sleep(15 * time.Second)
		_, body = a.get("/readyz?verbose")
		assert.NotContains(t, body, a3)
	})
}

// However many commits there are, a peer gets one nudge at a time, and the last one.
func TestNudgesAreCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, a1, a2)
		a, b := m.run(a1, clusterSecret, seldom), m.run(a2, clusterSecret, seldom)
		time.Sleep(4 * time.Second)
		before := len(a.wire.captured())
		var last conf.Position
		for i := range 1000 {
			last = a.publish(conf.NewKey("", "k"), fmt.Sprint(i))
			if i%10 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		time.Sleep(100 * time.Millisecond)
		assert.Equal(t, last, b.srv.Status().Position)
		assert.Less(t, len(a.wire.captured())-before, 40, "in 100 ms, 5 ms apart")
	})
}

// A node knows itself, under whatever name it is listed, and leaves itself alone.
func TestNodeKnowsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, a1, "ALIAS.example:1210", "alias.example:1210")
		a := m.run(a1, clusterSecret, seldom, server.WithRegistry(new(registry), "Alias.example:1210"))
		m.place("other.example:80", m.at[a1])
		m.set(nil, a1, "alias.example:1210", "http://other.example:80", "other.example:80")
		time.Sleep(4 * time.Second)
		for i := range 100 {
			a.publish(conf.NewKey("", "k"), fmt.Sprint(i))
			time.Sleep(100 * time.Millisecond)
		}
		for _, c := range a.wire.captured() {
			require.Equal(t, "other.example:80", c.req.URL.Host)
		}
		assert.LessOrEqual(t, len(a.wire.captured()), 4, "two names, each of which had to be asked")
		_, body := a.get("/readyz?verbose")
		assert.Contains(t, body, "[+] peers: 0 of 0 take nudges\n")
	})
}

// N2: an empty list, or none, takes no peer away; a new one does.
func TestN2_PeersAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, a1, a2)
		a, b := m.run(a1, clusterSecret, seldom), m.run(a2, clusterSecret, seldom)
		c := m.run(a3, clusterSecret, seldom)
		time.Sleep(4 * time.Second)
		seen := func(n *member) bool {
			at := a.publish(conf.NewKey("", "k"), "x")
			time.Sleep(50 * time.Millisecond)
			return n.srv.Status().Position == at
		}
		require.True(t, seen(b))
		for _, err := range []error{nil, conf.ErrUnavailable} {
			m.set(err)
			time.Sleep(time.Minute)
			require.True(t, seen(b))
			_, body := a.get("/readyz?verbose")
			assert.Contains(t, body, "[-] peers: 1 of 1 take nudges; cannot be looked up: ")
		}
		require.False(t, seen(c))
		m.set(nil, a1, a3)
		time.Sleep(4 * time.Second)
		require.True(t, seen(c))
		before := len(b.nudgesTo(a, a2))
		require.True(t, seen(c))
		assert.Len(t, b.nudgesTo(a, a2), before, "who has left is not nudged")
	})
}

// nudgesTo returns the nudges of from to addr.
func (m *member) nudgesTo(from *member, addr string) (to []capture) {
	for _, c := range from.wire.captured() {
		if c.req.URL.Host == addr {
			to = append(to, c)
		}
	}
	return to
}

// Peers with another secret, or with none, are told why, and so is the operator.
func TestX16_PeersWithAnotherSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log syncBuffer
		m := newMesh(t, a1, a2, a3)
		a := m.run(a1, clusterSecret, seldom, server.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		b := m.run(a2, "Wm4vQ0hYc2tP-another", seldom)
		c := m.run(a3, "", seldom)
		time.Sleep(time.Minute)
		_, body := a.get("/readyz?verbose")
		assert.Contains(t, body, "[-] peers: 0 of 2 take nudges; 10.0.0.2:1210: diamond: denied: the other end has another cluster secret")
		assert.Contains(t, body, "without a cluster secret only servers on this machine are peers")
		_, body = b.get("/readyz?verbose")
		assert.Contains(t, body, "the other end has another cluster secret")
		_, body = c.get("/readyz?verbose")
		assert.Contains(t, body, "only callers that know the cluster secret may do this")
		assert.Contains(t, log.String(), "another cluster secret")
		assert.NotContains(t, log.String(), clusterSecret)
		_, body = a.get("/metrics")
		assert.False(t, strings.Contains(body, `diamond_peer_nudges_total{result="denied"} 0`+"\n"))
	})
}

// syncBuffer is a buffer that many write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// X25: the peers' door is closed to all others, says nothing of any content, and
// cannot be used to fill the log.
func TestX25_PeersDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log syncBuffer
		m := newMesh(t, a1)
		a := m.run(a1, clusterSecret, seldom, server.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		local := m.run("127.0.0.1:1", "", seldom)
		at := a.publish(conf.NewKey("", "k"), "content-of-k")
		ask := func(n *member, method, body string, headers ...string) (int, http.Header, string) {
			req, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1/v1/peer/nudge", strings.NewReader(body))
			require.NoError(t, err)
			for i := 0; i < len(headers); i += 2 {
				req.Header.Set(headers[i], headers[i+1])
				if headers[i] == "Host" {
					req.Host = headers[i+1]
				}
			}
			res, err := n.client.Do(req)
			require.NoError(t, err)
			defer res.Body.Close()
			var text bytes.Buffer
			_, err = text.ReadFrom(res.Body)
			require.NoError(t, err)
			return res.StatusCode, res.Header, text.String()
		}
		good := fmt.Sprintf(`{"position":%q}`, at)
		for name, headers := range map[string][]string{
			"nothing": nil, "a client": {"Diamond-Client", "id=root&app=admin"}, "a token": {"Authorization", "Bearer " + clusterSecret},
			"a proof": {"Diamond-Cluster-Proof", "a.1.b.c"}, "a page": {"Sec-Fetch-Site", "cross-site", "Origin", "http://evil.test"},
			"a proxy": {"X-Forwarded-For", "127.0.0.1"},
		} {
			status, header, text := ask(a, "POST", good, headers...)
			assert.Equal(t, 403, status, name)
			assert.Equal(t, "denied", header.Get("Diamond-Error"), name)
			assert.NotContains(t, text, "content-of-k")
			assert.Empty(t, header.Get("Diamond-Node"))
			assert.Empty(t, header.Get("Diamond-Position"))
			assert.NotContains(t, text, at.String())
		}
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			status, header, _ := ask(a, method, "")
			assert.Equal(t, 405, status)
			assert.Equal(t, "POST", header.Get("Allow"))
		}
		status, _, _ := ask(a, "POST", strings.Repeat("x", 1<<20))
		assert.Equal(t, 413, status, "before anybody knows who asks")

		// Without a secret: whoever is on this machine, and nobody behind it.
		for name, headers := range map[string][]string{
			"a proxy": {"X-Forwarded-For", "10.0.0.7"}, "another": {"Forwarded", "for=10.0.0.7"}, "a page": {"Origin", "http://evil.test"},
			"a rebound name": {"Host", "evil.test:1210"},
		} {
			status, _, _ := ask(local, "POST", good, headers...)
			assert.Equal(t, 403, status, name)
		}
		for body, want := range map[string]int{good: 204, `{}`: 204, `{"position":"x"}`: 400, "x": 400} {
			status, _, text := ask(local, "POST", body)
			assert.Equal(t, want, status, body)
			assert.Equal(t, want == 204, text == "")
		}

		// What peers prove opens no other door, and there is none for debugging.
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/v1/peer", "/v1/peer/"} {
			res, _ := a.get(path)
			assert.Equal(t, 404, res.StatusCode, path)
		}

		time.Sleep(2 * time.Second)
		before := strings.Count(log.String(), "request of a peer refused")
		for range 1000 {
			ask(a, "POST", good, "Diamond-Cluster-Proof", "x")
		}
		assert.Equal(t, 1, strings.Count(log.String(), "request of a peer refused")-before, "a second's worth")
		time.Sleep(2 * time.Second)
		ask(a, "POST", good, "Diamond-Cluster-Proof", "x")
		assert.Contains(t, log.String(), "others=999")
	})
}

// A node without peers has no such door.
func TestNoPeersNoDoor(t *testing.T) {
	r := run(t)
	res, err := r.client.Post("http://node/v1/peer/nudge", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, http.StatusNotFound, res.StatusCode)
	_, body := r.get("/readyz?verbose")
	assert.NotContains(t, body, "peers")
}
