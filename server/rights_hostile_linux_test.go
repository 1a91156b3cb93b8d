package server_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/internal/memnet"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// ruled is a node on a governed store, in which the setup token may do everything.
type ruled struct {
	srv   diamond.Server
	token string
}

// newRuled runs a node on a governed store, with a value, on listener.
func newRuled(t *testing.T, listener net.Listener) *ruled {
	t.Helper()
	store := memstore.New()
	result, err := govern.SetUp(t.Context(), store, govern.SetUpOptions{})
	require.NoError(t, err)
	inner, err := diamond.NewServer(store)
	require.NoError(t, err)
	centre, err := govern.New(inner)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.NewNode(centre, server.WithListener(listener)).Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
		require.NoError(t, store.Close())
	})
	r := &ruled{centre, result.Token}
	_, err = centre.As("token:setup").Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.NewKey("g", "small"), Content: "v"}}}})
	require.NoError(t, err)
	return r
}

// reads reads the value n times with the token, over connections of client, and returns the
// longest that one read took. All succeed.
func (r *ruled) reads(t *testing.T, client *http.Client, scheme, addr string, n int) (slowest time.Duration) {
	t.Helper()
	for range n {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://"+addr+"/v1/configs/public/g/small", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+r.token)
		began := time.Now()
		res, err := client.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode, string(body))
		slowest = max(slowest, time.Since(began))
	}
	return slowest
}

// proofsBegun are the beginnings of requests whose proof does not end.
var proofsBegun = []string{
	"GET /v1/configs/public/g/small HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer gd_",
	"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic Og",
	"POST /v1/poll HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\nAuthorization: Bearer ",
}

// X19: a peer that sends its proof a byte at a time has ten seconds for all of it. Nothing is
// asked of the rights meanwhile.
func TestX19_ProofsByteByByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := memnet.Listen()
		r := newRuled(t, listener)
		const conns = 60
		var open atomic.Int64
		for i := range conns {
			conn, err := listener.DialContext(t.Context(), "", "")
			require.NoError(t, err)
			open.Add(1)
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			go func() {
				defer open.Add(-1)
				defer conn.Close()
				_, err := io.WriteString(conn, proofsBegun[i%len(proofsBegun)])
				for err == nil {
					time.Sleep(time.Second)
					_, err = io.WriteString(conn, "A")
				}
			}()
		}
		client := &http.Client{Transport: &http.Transport{DialContext: listener.DialContext}}
		defer client.CloseIdleConnections()
		time.Sleep(5 * time.Second)
		assert.EqualValues(t, conns, open.Load())
		assert.Zero(t, r.reads(t, client, "http", "node", 10), "others are served at once")
		assert.Zero(t, r.srv.(*govern.Centre).Stats().Denied[conf.DenialProof])
		time.Sleep(7 * time.Second)
		assert.Zero(t, open.Load(), "all are cut off")
	})
}

// X19: however many connections with half a proof one address holds, they take little, and
// others are served.
func TestX19_HalfSentProofs(t *testing.T) {
	const most, perConn = 16 * mebibyte, 32 << 10
	conns := campaign.Scale(t, 300, 10_000)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := newRuled(t, ln)
	addr := ln.Addr().String()
	network := &http.Transport{DialContext: from("127.0.0.3", addr)}
	defer network.CloseIdleConnections()
	client := &http.Client{Transport: network}
	r.reads(t, client, "http", addr, 10)
	before := holds()
	dial := from("127.0.0.2", addr)
	var open []net.Conn
	defer func() {
		for _, conn := range open {
			_ = conn.Close()
		}
	}()
	for i := range conns {
		conn, err := dial(t.Context(), "", "")
		if err != nil {
			break // this process may not have more files
		}
		open = append(open, conn)
		_, _ = io.WriteString(conn, proofsBegun[i%len(proofsBegun)]) // the server may have closed it
	}
	require.Greater(t, len(open), conns/4)
	during := holds()
	assert.LessOrEqual(t, during.memory-before.memory, int64(most+len(open)*perConn))
	slowest := r.reads(t, client, "http", addr, 100)
	t.Logf("%d connections: %.1f MiB, %d goroutines; the slowest read of another address took %v",
		len(open), float64(during.memory-before.memory)/mebibyte, during.goroutines-before.goroutines, slowest)
	assert.Less(t, slowest, 10*time.Second)
}

// ask sends a request with a proof on a stream.
func (p *http2Peer) ask(stream uint32, target, token string) error {
	var header strings.Builder
	for _, field := range [][2]string{
		{":method", "GET"}, {":scheme", "https"}, {":authority", "127.0.0.1"}, {":path", target}, {"authorization", "Bearer " + token},
	} {
		header.WriteString("\x00" + string(rune(len(field[0]))) + field[0] + string(rune(len(field[1]))) + field[1])
	}
	return p.send(frameHeaders, flagEnd, stream, header.String())
}

// overTLS runs a node that speaks HTTP/2, and returns it with a client of another address.
func overTLS(t *testing.T) (r *ruled, addr string, good *http.Client) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r, addr = newRuled(t, tls.NewListener(ln, serverTLS(t))), ln.Addr().String()
	network := &http.Transport{DialContext: from("127.0.0.3", addr), TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(network.CloseIdleConnections)
	good = &http.Client{Transport: network}
	r.reads(t, good, "https", addr, 10)
	return r, addr, good
}

// X19: one connection sends thousands of streams, each with another token that nobody knows,
// and takes them back or not. What the server holds for it is bounded, and others are served
// beside it.
func TestX19_HTTP2FloodsOfProofs(t *testing.T) {
	const frameGoAway, most = 7, 32 * mebibyte
	streams := campaign.Scale(t, 600, 20_000)
	for name, flood := range map[string]struct {
		target string
		reset  bool
		valid  bool
	}{
		"wrong tokens":                  {target: "/v1/configs/public/g/small"},
		"wrong tokens for pages":        {target: "/metrics"},
		"wrong tokens, taken back":      {target: "/v1/configs/public/g/small", reset: true},
		"a valid token, taken back":     {target: "/v1/changes?wait=60s", reset: true, valid: true},
		"a valid token and all streams": {target: "/v1/changes?wait=60s", valid: true},
	} {
		t.Run(name, func(t *testing.T) {
			r, addr, good := overTLS(t)
			before := holds()
			conn, err := from("127.0.0.2", addr)(t.Context(), "", "")
			require.NoError(t, err)
			evil := greet(t, conn, 1<<20)
			var answered, refused, ended atomic.Int64
			var reading sync.WaitGroup
			reading.Go(func() {
				for {
					kind, _, _, err := evil.next()
					switch {
					case err != nil:
						ended.Store(1)
						return
					case kind == frameHeaders:
						answered.Add(1)
					case kind == frameReset:
						refused.Add(1)
					case kind == frameGoAway:
						ended.Store(1)
					}
				}
			})
			sent, worst := 0, held{}
			for ; sent < streams && ended.Load() == 0; sent++ {
				token := govern.NewTokenSecret()
				if flood.valid {
					token = r.token
				}
				stream := uint32(2*sent + 1)
				if evil.ask(stream, flood.target, token) != nil {
					break
				}
				if flood.reset && evil.send(frameReset, 0, stream, "\x00\x00\x00\x08") != nil {
					break
				}
				if sent%(streams/5) == streams/5-1 {
					now := holds()
					worst.memory, worst.goroutines = max(worst.memory, now.memory), max(worst.goroutines, now.goroutines)
					slowest := r.reads(t, good, "https", addr, 5)
					assert.Less(t, slowest, 10*time.Second)
				}
			}
			slowest := r.reads(t, good, "https", addr, 50)
			assert.Less(t, slowest, 10*time.Second)
			assert.LessOrEqual(t, worst.memory-before.memory, int64(most))
			assert.LessOrEqual(t, worst.goroutines-before.goroutines, 2*100+50, "of its streams, 100 are under way")
			assert.LessOrEqual(t, r.srv.Status().Waiters, 100)
			_ = conn.Close()
			reading.Wait()
			require.Eventually(t, func() bool { return r.srv.Status().Waiters == 0 }, time.Minute, time.Millisecond, "nothing of it is left")
			t.Logf("%s: %d streams sent, %d answered, %d refused, ended: %v; %.1f MiB, %d goroutines; slowest read %v", name, sent, answered.Load(), refused.Load(), ended.Load() == 1,
				float64(worst.memory-before.memory)/mebibyte, worst.goroutines-before.goroutines, slowest)
			r.reads(t, good, "https", addr, 5)
		})
	}
}
