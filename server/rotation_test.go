package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/certtest"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// follower is a client that follows a key, and whose polls and reads must not fail.
type follower struct {
	diamond.Transport
	t     *testing.T
	polls atomic.Int64 // that were answered
	last  atomic.Int64 // the revision that it was told of last
	close func()       // to be called before the nodes end; a second time does nothing
}

// follow has a client follow key through some nodes, over HTTP.
func (m *mesh) follow(key conf.Key, addrs ...string) *follower {
	pool := &http.Transport{DialContext: m.dial}
	balancer := transport.NewBalancer(transport.Static(addrs...), httptransport.Dialer(httptransport.WithHTTPClient(&http.Client{Transport: pool})))
	f := &follower{Transport: balancer, t: m.t}
	client, err := diamond.NewClient(f)
	require.NoError(m.t, err)
	f.close = sync.OnceFunc(func() {
		assert.NoError(m.t, client.Close())
		balancer.Close()
		pool.CloseIdleConnections()
	})
	m.t.Cleanup(f.close)
	_, err = client.Subscribe(key, diamond.ListenerFunc(func(_ context.Context, c conf.Config) error {
		assert.Greater(m.t, c.Revision, f.last.Swap(c.Revision), "none twice, in order")
		return nil
	}))
	require.NoError(m.t, err)
	return f
}

func (f *follower) Poll(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
	resp, err := f.Transport.Poll(ctx, req)
	if ctx.Err() == nil && assert.NoError(f.t, err, "a poll is cut off") {
		f.polls.Add(1)
	}
	return resp, err
}

func (f *follower) read(key conf.Key) {
	_, err := f.Fetch(f.t.Context(), &conf.FetchRequest{Key: key})
	require.NoError(f.t, err)
}

// C14, where it applies: certificates of peers and their authority are replaced
// while polls are parked and nudges go on, and nobody is cut off, nor late. When
// one is not trusted any more, its nudges end; who waits keeps what it has, learns
// of changes by the server's own looks, and the page says what is wrong.
func TestC14_PeerCertificatesChangeWhilePollsAreParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, next := certtest.NewAuthority(t), certtest.NewAuthority(t)
		both := old.Pool()
		require.True(t, both.AppendCertsFromPEM(next.PEM))
		addrs := []string{a1, a2}
		m := newMesh(t, addrs...)
		var nodes []*secured
		current := make([]atomic.Pointer[identity], len(addrs))
		for i, addr := range addrs {
			first := newIdentity(t, old, addr)
			current[i].Store(&first)
			nodes = append(nodes, m.runSecuredOn(addr, clusterSecret, nil, func() identity { return *current[i].Load() }))
		}
		time.Sleep(4 * time.Second)
		key := conf.NewKey("", "k")
		nodes[0].publish(key, "first")
		followers := []*follower{m.follow(key, a1), m.follow(key, a2), m.follow(key, a2)}
		time.Sleep(time.Second)

		published := 0
		// goesOn publishes for so long, at one node and at the other, and requires
		// that all who wait are told within some time.
		goesOn := func(long, within time.Duration) {
			t.Helper()
			for begun := time.Now(); time.Since(begun) < long; published++ {
				at := nodes[published%2].publish(key, fmt.Sprint(published))
				time.Sleep(within)
				for i, f := range followers {
					require.Equal(t, at.Revision, f.last.Load(), "follower %d, publish %d", i, published)
					f.read(key)
				}
				time.Sleep(time.Duration(published%7) * 1777 * time.Millisecond)
			}
		}
		change := func(n int, certs []tls.Certificate, trust *x509.CertPool) {
			t.Helper()
			current[n].Store(&identity{certs, trust})
			goesOn(6*time.Minute, 50*time.Millisecond) // no connection is older
		}
		goesOn(time.Minute, 50*time.Millisecond)
		change(0, current[0].Load().certs, both)
		change(1, current[1].Load().certs, both)
		change(0, newIdentity(t, next, a1).certs, both)
		change(1, newIdentity(t, next, a2).certs, both)
		change(0, current[0].Load().certs, next.Pool())
		change(1, current[1].Load().certs, next.Pool())

		current[1].Store(&identity{newIdentity(t, old, a2).certs, old.Pool()}) // revoked, so to say
		time.Sleep(6 * time.Minute)
		goesOn(5*time.Minute, 2*time.Second)
		for _, n := range nodes {
			_, body := n.get("/readyz?verbose")
			assert.Contains(t, body, "[-] peers: 0 of 1 take nudges; ")
			assert.Contains(t, body, "\nready\n")
		}
		for _, f := range followers {
			assert.Greater(t, f.polls.Load(), int64(published/2), "they were parked all the time")
		}
	})
}

// C14, where it applies: the cluster's secret is replaced, one node after the
// other. While they have different ones they believe no nudges of each other, and
// yet nobody who waits is cut off, nor misses a change.
func TestC14_ClusterSecretChangesWhilePollsAreParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addrs := []string{a1, a2, a3}
		m := newMesh(t, addrs...)
		nodes := make([]*member, len(addrs))
		for i, addr := range addrs {
			nodes[i] = m.run(addr, clusterSecret, nil)
		}
		time.Sleep(4 * time.Second)
		key := conf.NewKey("", "k")
		nodes[0].publish(key, "first")
		var followers []*follower
		for range 9 {
			followers = append(followers, m.follow(key, addrs...))
		}
		time.Sleep(time.Second)

		told := func(from *member, within time.Duration) {
			t.Helper()
			at := from.publish(key, fmt.Sprint(time.Now()))
			time.Sleep(within)
			for i, f := range followers {
				require.Equal(t, at.Revision, f.last.Load(), "follower %d", i)
				f.read(key)
			}
		}
		for i, addr := range addrs {
			for range 20 { // some with one secret, some with the other
				told(nodes[(i+1)%3], 2*time.Second)
			}
			var stopping sync.WaitGroup
			stopping.Go(func() {
				nodes[i].stop()
				nodes[i].wait()
			})
			told(nodes[(i+1)%3], 5*time.Second)
			stopping.Wait()
			told(nodes[(i+1)%3], 5*time.Second)
			nodes[i] = m.run(addr, "Wm4vQ0hYc2tP-replaced", nil)
			if i < 2 {
				time.Sleep(10 * time.Second)
				_, body := nodes[i].get("/readyz?verbose")
				assert.Contains(t, body, "the other end has another cluster secret")
			}
		}
		time.Sleep(time.Minute)
		for i := range 30 {
			told(nodes[i%3], 50*time.Millisecond) // all believe each other again
		}
		for _, f := range followers {
			f.close()
		}
	})
}
