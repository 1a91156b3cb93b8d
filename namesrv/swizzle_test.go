package namesrv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/campaign"
)

// links are the ways from clients to name servers, each of which can be cut.
type links struct {
	net *memNet
	mu  sync.Mutex
	cut map[string]bool // guarded by mu
}

func (l *links) set(link string, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut[link] = cut
}

// client returns a client whose links are named "name>address".
func (l *links) client(t *testing.T, name string, opts ...ClientOption) *Client {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		l.mu.Lock()
		cut := l.cut[name+">"+addr]
		l.mu.Unlock()
		if cut {
			return nil, errors.New("no route to host")
		}
		return l.net.dial(ctx, network, addr)
	}
	hc := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	c, err := NewClient([]string{ns1, ns2}, append(opts, WithHTTPClient(hc))...)
	require.NoError(t, err)
	return c
}

// N16, as far as name servers go: links are cut one by one and heal in random
// order, name servers die, go mute and forget all meanwhile. No server that is
// alive leaves the list of anybody, and in the end all lists are right.
func TestN16_Swizzle(t *testing.T) {
	for range campaign.Scale(t, 10, 500) {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { swizzle(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func swizzle(t *testing.T, random *rand.Rand) {
	l := &links{net: newMemNet(), cut: map[string]bool{}}
	nameServers, servers, readers := []string{ns1, ns2}, []string{"a:1", "b:1", "c:1"}, []string{"x", "y"}
	var ways []string
	for _, ns := range nameServers {
		l.net.serve(t, ns, NewRegistry(ours(t)))
		for _, name := range append(append([]string(nil), servers...), readers...) {
			ways = append(ways, name+">"+ns)
		}
	}
	var stop func()
	for _, addr := range servers {
		stop = register(t, l.client(t, addr, ours(t)), addr) // the last one's
	}
	synctest.Wait()

	clients := map[string]*Client{}
	for _, name := range readers {
		clients[name] = l.client(t, name)
		require.Equal(t, servers, resolve(t, clients[name]))
	}
	// look has each reader look every half second for as long as d.
	look := func(d time.Duration) {
		for start := time.Now(); time.Since(start) < d; time.Sleep(500 * time.Millisecond) {
			for name, c := range clients {
				require.Equal(t, servers, resolve(t, c), "reader %s", name)
			}
		}
	}
	upTo := func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(d))) }
	for range 5 { // each shorter than what a lease has left when a heartbeat fails
		chosen := random.Perm(len(ways))[:1+random.IntN(len(ways))]
		for _, i := range chosen {
			look(upTo(3 * time.Second / time.Duration(len(chosen))))
			l.set(ways[i], true)
		}
		ns := nameServers[random.IntN(2)]
		switch random.IntN(4) {
		case 0:
			l.net.kill(ns)
		case 1:
			l.net.serve(t, ns, nil) // mute
		case 2:
			l.net.serve(t, ns, NewRegistry(ours(t)))
		}
		look(time.Second)
		for _, i := range random.Perm(len(chosen)) {
			l.set(ways[chosen[i]], false)
			look(upTo(2 * time.Second / time.Duration(len(chosen))))
		}
		if l.net.dead(ns) {
			l.net.serve(t, ns, NewRegistry(ours(t)))
		}
		look(DefaultLease)
	}

	stop()
	time.Sleep(2*DefaultLease + callTimeout)
	for _, name := range readers {
		require.Equal(t, servers[:2], resolve(t, clients[name]), "one has gone, and all lists say so")
		require.Equal(t, servers[:2], resolve(t, l.client(t, "new")))
	}
}
