package httptransport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/memnet"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

// What is between loses all connections, and says so to nobody; new ones work.
// Nothing is put to the lost ones again once one question had no answer, nor
// once its caller has given it up, though polls are parked on them.
func TestClient_LostConnectionsAreGivenUp(t *testing.T) {
	for protocol, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		for source, option := range map[string]func(*tls.Config) httptransport.Option{
			"fixed": httptransport.WithTLS,
			"that may change": func(c *tls.Config) httptransport.Option {
				return httptransport.WithTLSSource(func() *tls.Config { return c })
			},
		} {
			t.Run(protocol+" with a configuration "+source, func(t *testing.T) {
				c := protocoltest.New(t)
				c.Publish(protocoltest.Key("k"), "one")
				hs := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					assert.Equal(t, protocol, r.Proto)
					c.H.ServeHTTP(w, r)
				}))
				hs.EnableHTTP2 = http2
				hs.StartTLS()
				t.Cleanup(hs.Close)
				t.Cleanup(hs.CloseClientConnections)
				pool := x509.NewCertPool()
				pool.AddCert(hs.Certificate())
				path := newPath(t, hs.Listener.Addr().String())
				tr := dial(t, "https://"+path.addr(), httptransport.WithTimeout(3*time.Second),
					option(&tls.Config{RootCAs: pool, ServerName: "example.com"}))
				t.Cleanup(tr.Close)
				polling, stop := context.WithCancel(t.Context())
				var polls sync.WaitGroup
				park := func() { // a connection that is busy, and several that are idle
					polls.Go(func() {
						_, _ = tr.Poll(polling, &conf.PollRequest{Keys: []conf.Key{protocoltest.Key("k")}, Position: c.Fetch(protocoltest.Key("k")).Position, Wait: time.Minute})
					})
					var all sync.WaitGroup
					for range 8 {
						all.Go(func() {
							_, err := fetchKey(tr)
							assert.NoError(t, err)
						})
					}
					all.Wait()
				}
				t.Cleanup(polls.Wait)
				t.Cleanup(stop)

				park()
				path.lose()
				_, err := fetchKey(tr)
				unasked(t, err, conf.ErrUnavailable, "what is asked first has no answer")
				_, err = fetchKey(tr)
				require.NoError(t, err, "what is asked next is asked over a new connection")

				park()
				path.lose()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err = tr.Fetch(ctx, &conf.FetchRequest{Key: protocoltest.Key("k")})
				require.ErrorIs(t, err, context.DeadlineExceeded)
				_, err = fetchKey(tr)
				require.NoError(t, err, "the caller need not have waited until the transport gives up")
			})
		}
	}
}

// A connection that is lost while a poll is parked on it is found out over
// HTTP/2 as soon as over HTTP/1.1, with the defaults.
func TestN6_SilenceDuringAPoll(t *testing.T) {
	for protocol, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := protocoltest.New(t)
				at := c.Publish(protocoltest.Key("k"), "one")
				p := memnet.Listen()
				var protocols http.Protocols
				protocols.SetHTTP1(!http2)
				protocols.SetUnencryptedHTTP2(http2)
				hs := &http.Server{Handler: c.H, Protocols: &protocols, ReadHeaderTimeout: 10 * time.Second}
				served := make(chan error, 1)
				go func() { served <- hs.Serve(p) }()
				defer func() {
					_ = hs.Close()
					<-served
				}()
				var lost atomic.Bool
				network := httptransport.NewHTTPTransport(nil)
				network.Protocols = &protocols
				network.DialContext = func(context.Context, string, string) (net.Conn, error) {
					conn, err := p.DialContext(t.Context(), "", "")
					return &losing{Conn: conn, lost: &lost}, err
				}
				defer network.CloseIdleConnections()
				tr := dial(t, "127.0.0.1:1", httptransport.WithHTTPClient(&http.Client{Transport: network}))
				poll := &conf.PollRequest{Keys: []conf.Key{protocoltest.Key("k")}, Set: conf.HashKeys([]conf.Key{protocoltest.Key("k")}), Position: at, Wait: 25 * time.Second}
				started := time.Now()
				_, err := tr.Poll(t.Context(), poll)
				require.NoError(t, err)
				require.Equal(t, 25*time.Second, time.Since(started), "pings leave a poll alone")

				lost.Store(true)
				started = time.Now()
				_, err = tr.Poll(t.Context(), poll)
				unasked(t, err, conf.ErrUnavailable, "poll")
				assert.LessOrEqual(t, time.Since(started), 30*time.Second)
				if http2 {
					assert.LessOrEqual(t, time.Since(started), 21*time.Second, "by a ping")
					lost.Store(false)
					_, err = fetchKey(tr)
					assert.NoError(t, err, "the connection is not used again")
				}
			})
		})
	}
}

// losing is a connection on which nothing arrives any more, at either end, once it is lost.
type losing struct {
	net.Conn
	lost *atomic.Bool
}

func (l *losing) Write(p []byte) (int, error) {
	if l.lost.Load() {
		return len(p), nil
	}
	return l.Conn.Write(p)
}

func (l *losing) Read(p []byte) (int, error) {
	for {
		n, err := l.Conn.Read(p)
		if err != nil || !l.lost.Load() {
			return n, err
		}
	}
}

// path is a way to a server on which connections can be lost.
type path struct {
	l  net.Listener
	mu sync.Mutex
	on []*atomic.Bool // guarded by mu; of each connection: it is lost
}

func newPath(t *testing.T, to string) *path {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &path{l: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			lost := new(atomic.Bool)
			p.mu.Lock()
			p.on = append(p.on, lost)
			p.mu.Unlock()
			carry := func(to, from net.Conn) {
				_, _ = io.Copy(to, &losing{from, lost})
				_ = to.Close()
			}
			go carry(near, far)
			go carry(far, near)
		}
	}()
	return p
}

func (p *path) addr() string { return p.l.Addr().String() }

// lose loses all connections that there are.
func (p *path) lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, lost := range p.on {
		lost.Store(true)
	}
}

// A caller's own client, which others use too, keeps its idle connections when
// a server is silent. The transport goes on with new ones.
func TestClient_ASharedClientKeepsItsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := protocoltest.New(t)
		p := memnet.Listen()
		defer func() { _ = p.Close() }()
		serve(t, p, c.H)
		var lost atomic.Bool
		dialled := map[string]int{}
		shared := &http.Transport{DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
			dialled[addr]++
			conn, err := p.DialContext(t.Context(), "", "")
			if addr == "127.0.0.1:2" {
				return conn, err
			}
			return &losing{Conn: conn, lost: &lost}, err
		}}
		defer shared.CloseIdleConnections()
		client := &http.Client{Transport: shared}
		tr := dial(t, "127.0.0.1:1", httptransport.WithHTTPClient(client))
		other := dial(t, "127.0.0.1:2", httptransport.WithHTTPClient(client))
		defer tr.Close()
		for _, tr := range []*httptransport.Transport{tr, other} {
			_, err := fetchKey(tr)
			require.NoError(t, err)
		}
		lost.Store(true)
		_, err := fetchKey(tr)
		require.Error(t, err)
		lost.Store(false)
		_, err = fetchKey(tr)
		require.NoError(t, err)
		tr.Close()
		_, err = fetchKey(other)
		require.NoError(t, err)
		assert.Equal(t, map[string]int{"127.0.0.1:1": 2, "127.0.0.1:2": 1}, dialled)
	})
}
