package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/certtest"
	"github.com/linnaname/gdiamond/internal/memnet"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// peerPort is that of all peers' listeners.
const peerPort = "1211"

// identity is what a member has, or somebody else.
type identity struct {
	certs []tls.Certificate
	trust *x509.CertPool
}

func newIdentity(t *testing.T, ca *certtest.Authority, addr string) identity {
	host, _, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	return identity{[]tls.Certificate{ca.TLS(t, host)}, ca.Pool()}
}

func (i identity) listener() *tls.Config {
	return &tls.Config{Certificates: i.certs, ClientCAs: i.trust}
}

// secured is a node with a listener for peers alone.
type secured struct {
	*member
	peers string // its address
}

// runSecured runs a node at addr with a listener for peers. Now is asked for what
// it has to show at each connection.
func (m *mesh) runSecured(addr, secret string, now func() identity, opts ...server.Option) *secured {
	return m.runSecuredOn(addr, secret, seldom, now, opts...)
}

func (m *mesh) runSecuredOn(addr, secret string, srvOpts []diamond.ServerOption, now func() identity, opts ...server.Option) *secured {
	host, _, err := net.SplitHostPort(addr)
	require.NoError(m.t, err)
	at := net.JoinHostPort(host, peerPort)
	place := m.place(at, &addressed{Listener: memnet.Listen(), addr: at})
	w := &wire{inner: m.tlsTransport(now)}
	m.t.Cleanup(w.inner.CloseIdleConnections)
	config := now().listener()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return now().listener(), nil }
	n := m.run(addr, secret, srvOpts, append([]server.Option{
		server.WithPeerListener(place, config), server.WithPeerClient(&http.Client{Transport: w}),
	}, opts...)...)
	n.wire = w
	return &secured{n, at}
}

func (m *mesh) tlsTransport(now func() identity) *http.Transport {
	return &http.Transport{DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		i := now()
		return m.handshake(ctx, addr, &tls.Config{Certificates: i.certs, RootCAs: i.trust})
	}}
}

func (m *mesh) handshake(ctx context.Context, addr string, config *tls.Config) (net.Conn, error) {
	conn, err := m.dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(addr)
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// request asks a member for something with a client that is used once.
func (m *mesh) request(transport *http.Transport, method, url, body string, headers ...string) (int, error) {
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(m.t.Context(), method, url, strings.NewReader(body))
	require.NoError(m.t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// always is an identity that does not change.
func always(i identity) func() identity { return func() identity { return i } }

// X25: nudges go from listener to listener, and through these alone.
func TestX25_PeerListener(t *testing.T) {
	for _, secret := range []string{clusterSecret, ""} {
		t.Run(fmt.Sprintf("secret %q", secret), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := certtest.NewAuthority(t)
				m := newMesh(t, a1, a2, "https://10.0.0.3:"+peerPort)
				var nodes []*secured
				for _, addr := range []string{a1, a2, a3} {
					nodes = append(nodes, m.runSecured(addr, secret, always(newIdentity(t, ca, addr))))
				}
				time.Sleep(4 * time.Second) // all know each other
				key := conf.NewKey("", "k")
				var observers []*observer
				for _, n := range nodes {
					observers = append(observers, n.observe(key))
				}
				var last conf.Position
				for i := range 30 {
					last = nodes[i%3].publish(key, fmt.Sprint(i))
					time.Sleep(50 * time.Millisecond)
					for j, n := range nodes {
						require.Equal(t, last, n.srv.Status().Position, "commit %d at node %d", i, j)
					}
				}
				for _, n := range nodes {
					_, body := n.get("/readyz?verbose")
					assert.Contains(t, body, "[+] peers: 2 of 2 take nudges\n")
					for _, c := range n.wire.captured() {
						assert.Equal(t, "https", c.req.URL.Scheme)
						assert.Equal(t, peerPort, c.req.URL.Port())
					}
				}
				_, body := nodes[2].get("/metrics")
				assert.True(t, strings.Contains(body, `diamond_http_requests_total{code="204",method="POST",route="/v1/peer/nudge"}`))

				// N11: what was captured changes nothing, whether it is taken or not.
				before := observers[1].seen()
				want := http.StatusForbidden
				if secret == "" {
					want = http.StatusNoContent
				}
				for _, c := range append(nodes[0].wire.captured(), nodes[2].wire.captured()...) {
					status, err := c.send(nodes[0].wire)
					require.NoError(t, err)
					require.Equal(t, want, status)
				}
				time.Sleep(time.Second)
				assert.Equal(t, last, nodes[1].srv.Status().Position)
				assert.Equal(t, before, observers[1].seen())
			})
		})
	}
}

// X25: who is no peer gets nowhere on the peers' listener, and there is nothing but
// nudges for who is one.
func TestX25_PeerListenerIsForPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log syncBuffer
		ca := certtest.NewAuthority(t)
		good := newIdentity(t, ca, a1)
		m := newMesh(t, a1, a2)
		logger := server.WithLogger(slog.New(slog.NewTextHandler(&log, nil)))
		a := m.runSecured(a1, clusterSecret, always(good), logger)
		at := a.publish(conf.NewKey("", "k"), "content-of-k")
		nudge := fmt.Sprintf(`{"position":%q}`, at)
		trusting := func(certs ...tls.Certificate) *tls.Config {
			return &tls.Config{Certificates: certs, RootCAs: ca.Pool()}
		}
		dialing := func(config *tls.Config) *http.Transport {
			return &http.Transport{DialTLSContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
				return m.handshake(ctx, addr, config.Clone())
			}}
		}
		peersURL := "https://" + a.peers + "/v1/peer/nudge"

		old := trusting(good.certs...)
		old.MaxVersion = tls.VersionTLS12
		another, forced := certtest.NewAuthority(t).TLS(t, "10.0.0.1"), trusting()
		// By itself a client shows only what the other end has asked for.
		forced.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &another, nil }
		past := func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Minute) }
		serverOnly := func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] }
		for why, config := range map[string]*tls.Config{
			"client didn't provide a certificate":     trusting(),
			"certificate signed by unknown authority": forced,
			"certificate has expired":                 trusting(ca.TLS(t, "10.0.0.1", past)),
			"incompatible key usage":                  trusting(ca.TLS(t, "10.0.0.1", serverOnly)),
			"client offered only unsupported version": old,
		} {
			time.Sleep(2 * time.Second) // that it is logged
			_, err := m.request(dialing(config), "POST", peersURL, nudge, "Authorization", "Bearer "+clusterSecret, "X-Client-Cert", "x")
			assert.Error(t, err, why)
			synctest.Wait()
			assert.Contains(t, log.String(), why)
		}
		plain := &http.Transport{DialContext: m.dial}
		status, err := m.request(plain, "POST", "http://"+a.peers+"/v1/peer/nudge", nudge)
		require.NoError(t, err)
		assert.Equal(t, http.StatusBadRequest, status, "without TLS")

		// A peer's certificate alone is not enough where there is a secret, nor with what a client has.
		for _, headers := range [][]string{nil, {"Authorization", "Bearer x"}, {"Diamond-Cluster-Proof", "a.1.b.c"}, {"Origin", "https://evil.test"}} {
			status, err = m.request(dialing(trusting(good.certs...)), "POST", peersURL, nudge, headers...)
			require.NoError(t, err)
			assert.Equal(t, http.StatusForbidden, status)
		}
		// And it opens nothing else.
		for _, path := range []string{
			"/livez", "/healthz", "/readyz", "/metrics", "/version", "/openapi.yaml", "/v1/position", "/v1/changes", "/v1/servers",
			"/v1/configs/public/DEFAULT_GROUP/k", "/diamond-server/config?dataId=k&group=DEFAULT_GROUP", "/namesrv/addrs", "/",
			"/v1/peer", "/v1/peer/nudge/", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile", "/debug/vars",
		} {
			for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
				status, err := m.request(dialing(trusting(good.certs...)), method, "https://"+a.peers+path, "")
				require.NoError(t, err)
				assert.Equal(t, http.StatusNotFound, status, "%s %s", method, path)
			}
		}
		status, err = m.request(dialing(trusting(good.certs...)), "POST", "https://"+a.peers+"/diamond-server/publishConfig?dataId=k&group=DEFAULT_GROUP&content=x", "")
		require.NoError(t, err)
		assert.Equal(t, http.StatusNotFound, status)
		status, err = m.request(dialing(trusting(good.certs...)), "GET", peersURL, "")
		require.NoError(t, err)
		assert.Equal(t, http.StatusMethodNotAllowed, status)
		assert.Equal(t, at, a.srv.Status().Position)

		// What peers have opens nothing where clients come in.
		secret, err := cluster.NewSecret(clusterSecret)
		require.NoError(t, err)
		public := "http://" + a1
		req, err := http.NewRequestWithContext(t.Context(), "POST", public+"/v1/peer/nudge", strings.NewReader(nudge))
		require.NoError(t, err)
		res, err := cluster.NewSigner(secret, &url.URL{Scheme: "http", Host: a1}).Do(a.client, req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		assert.Equal(t, http.StatusNotFound, res.StatusCode)
		assert.Empty(t, res.Header.Get("Diamond-Cluster-Challenge"))
		for _, path := range []string{"/v1/peer", "/v1/peer/nudge", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars"} {
			res, _ := a.get(path)
			assert.Equal(t, http.StatusNotFound, res.StatusCode, path)
		}

		// Nor is the log of any use to strangers.
		knock := func() {
			conn, err := m.dial(t.Context(), "tcp", a.peers)
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			synctest.Wait()
		}
		time.Sleep(2 * time.Second)
		before := strings.Count(log.String(), "peer's connection refused")
		for range 100 {
			knock()
		}
		assert.Equal(t, 1, strings.Count(log.String(), "peer's connection refused")-before, "a second's worth")
		time.Sleep(2 * time.Second)
		knock()
		assert.Contains(t, log.String(), "others=99")
		assert.NotContains(t, log.String(), "content-of-k")
	})
}

// Certificates and authorities change while nodes run, one node after the other;
// and an authority that is no longer trusted is so on connections that there are too.
func TestX25_PeerCertificatesChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, next := certtest.NewAuthority(t), certtest.NewAuthority(t)
		both := old.Pool()
		require.True(t, both.AppendCertsFromPEM(next.PEM))
		m := newMesh(t, a1, a2)
		var nodes []*secured
		var current []*atomic.Pointer[identity]
		for _, addr := range []string{a1, a2} {
			i := newIdentity(t, old, addr)
			now := new(atomic.Pointer[identity])
			now.Store(&i)
			current = append(current, now)
			nodes = append(nodes, m.runSecured(addr, clusterSecret, func() identity { return *now.Load() }))
		}
		time.Sleep(4 * time.Second)
		works := func() bool {
			at := nodes[0].publish(conf.NewKey("", "k"), "x")
			time.Sleep(50 * time.Millisecond)
			return nodes[1].srv.Status().Position == at
		}
		change := func(addr string, n int, certs []tls.Certificate, trust *x509.CertPool) {
			if certs == nil {
				certs = newIdentity(t, next, addr).certs
			}
			current[n].Store(&identity{certs, trust})
			time.Sleep(6 * time.Minute) // no connection is older
			require.True(t, works())
		}
		require.True(t, works())
		change(a1, 0, current[0].Load().certs, both)
		change(a2, 1, current[1].Load().certs, both)
		change(a1, 0, nil, both)
		change(a2, 1, nil, both)
		change(a1, 0, nil, next.Pool())
		change(a2, 1, nil, next.Pool())

		// Now node 2 leaves; what it has is not trusted any more.
		current[0].Store(&identity{newIdentity(t, old, a1).certs, old.Pool()})
		time.Sleep(6 * time.Minute)
		assert.False(t, works())
		_, body := nodes[1].get("/readyz?verbose")
		assert.Contains(t, body, "[-] peers: 0 of 1 take nudges; 10.0.0.1:1210: ")
	})
}

// unixListener is a listener that others cannot have at the same port.
type unixListener struct{ *memnet.Listener }

func (unixListener) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: "/run/peers"} }

// A node does not run with a listener for peers that is none.
func TestPeerListener_Invalid(t *testing.T) {
	ca := certtest.NewAuthority(t)
	good := newIdentity(t, ca, a1).listener()
	choosing := func(chosen *tls.Config) *tls.Config {
		c := good.Clone()
		c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return chosen, nil }
		return c
	}
	peers, client := server.WithPeers(newMesh(t), cluster.Secret{}), server.WithPeerClient(http.DefaultClient)
	for name, c := range map[string]struct {
		listener net.Listener
		config   *tls.Config
		opts     []server.Option
		says     string
	}{
		"no listener":      {nil, good, []server.Option{peers, client}, "there is none"},
		"no port":          {unixListener{memnet.Listen()}, good, []server.Option{peers, client}, "no port"},
		"no configuration": {memnet.Listen(), nil, []server.Option{peers, client}, "is missing"},
		"any certificate":  {memnet.Listen(), &tls.Config{Certificates: good.Certificates}, []server.Option{peers, client}, "ClientCAs"},
		"any, chosen late": {memnet.Listen(), &tls.Config{GetConfigForClient: choosing(good).GetConfigForClient}, []server.Option{peers, client}, "ClientCAs"},
		"no certificate":   {memnet.Listen(), &tls.Config{ClientCAs: ca.Pool()}, []server.Option{peers, client}, "no certificate"},
		"no peers":         {memnet.Listen(), good, []server.Option{client}, "WithPeers"},
		"no client":        {memnet.Listen(), good, []server.Option{peers}, "WithPeerClient"},
	} {
		t.Run(name, func(t *testing.T) {
			srv, err := diamond.NewServer(memstore.New())
			require.NoError(t, err)
			public := memnet.Listen()
			err = server.NewNode(srv, append(c.opts, server.WithListener(public), server.WithPeerListener(c.listener, c.config))...).Run(t.Context())
			require.ErrorIs(t, err, conf.ErrInvalid)
			assert.ErrorContains(t, err, c.says)
			_, err = public.Accept()
			assert.ErrorIs(t, err, net.ErrClosed)
			if c.listener != nil {
				_, err = c.listener.Accept()
				assert.ErrorIs(t, err, net.ErrClosed)
			}
		})
	}

	// What is chosen for a connection is held to the same.
	for name, chosen := range map[string]*tls.Config{
		"anybody":     {Certificates: good.Certificates},
		"the present": nil,
		"lax":         {Certificates: good.Certificates, ClientCAs: ca.Pool(), ClientAuth: tls.NoClientCert, MaxVersion: tls.VersionTLS12},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMesh(t)
				at := "10.0.0.1:" + peerPort
				place := m.place(at, &addressed{Listener: memnet.Listen(), addr: at})
				m.run(a1, "", seldom, server.WithPeerListener(place, choosing(chosen)))
				stranger := m.tlsTransport(always(identity{nil, ca.Pool()}))
				_, err := m.request(stranger, "POST", "https://"+at+"/v1/peer/nudge", "{}")
				require.Error(t, err)
			})
		})
	}
}
