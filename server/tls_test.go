package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
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
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/tlsfile"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// sayingWho serves, at /who, the names that a request proves.
func sayingWho() server.Option {
	return server.WithHandler("/who", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proof, err := httptransport.ReadProof(r)
		fmt.Fprintln(w, strings.Join(proof.Names, ","), err)
	}))
}

// tlsClient returns a client of r over TLS. With http2 it speaks that.
func (r *running) tlsClient(config *tls.Config, http2 bool) *http.Client {
	config = config.Clone()
	config.ServerName = "node"
	pool := &http.Transport{DialContext: r.listener.DialContext, TLSClientConfig: config, ForceAttemptHTTP2: http2}
	r.t.Cleanup(pool.CloseIdleConnections)
	return &http.Client{Transport: pool}
}

// askTLS returns the status and the body of an answer, and whether it ends the connection.
func askTLS(c *http.Client, path string) (status int, body string, last bool, err error) {
	res, err := c.Get("https://node" + path)
	if err != nil {
		return 0, "", false, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, strings.TrimSpace(string(text)), res.Close, err
}

// trust is the TLS of a node that may change while it runs.
type trust struct{ now atomic.Pointer[tls.Config] }

func (c *trust) config() *tls.Config {
	return &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.now.Load(), nil }}
}

func trusting(node tls.Certificate, clients *x509.CertPool) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{node}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: clients, NextProtos: []string{"h2", "http/1.1"}}
}

// X24: a connection that began with a certificate proves nothing any more once its authority
// is not trusted, over HTTP/1.1 and HTTP/2. Those who showed none go on.
func TestX24_AuthorityIsRemovedWhileConnectionsAreOpen(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			ca, old, next := certtest.NewAuthority(t), certtest.NewAuthority(t), certtest.NewAuthority(t)
			node := ca.TLS(t, "node")
			var now trust
			both := old.Pool()
			require.True(t, both.AppendCertsFromPEM(next.PEM))
			now.now.Store(trusting(node, old.Pool()))
			r := run(t, server.WithTLS(now.config()), sayingWho())
			client := func(certs ...tls.Certificate) *http.Client {
				return r.tlsClient(&tls.Config{RootCAs: ca.Pool(), Certificates: certs}, http2)
			}
			who, nobody := client(old.TLS(t, "client")), client()
			for range 2 {
				_, body, last, err := askTLS(who, "/who")
				require.NoError(t, err)
				assert.Equal(t, "dns:client <nil>", body)
				assert.False(t, last)
			}
			_, body, _, err := askTLS(nobody, "/who")
			require.NoError(t, err)
			assert.Equal(t, "<nil>", body)

			now.now.Store(trusting(node, both))
			_, body, _, err = askTLS(who, "/who")
			require.NoError(t, err)
			assert.Equal(t, "dns:client <nil>", body, "its authority is still one of them")

			now.now.Store(trusting(node, next.Pool()))
			status, body, _, err := askTLS(who, "/who")
			require.NoError(t, err)
			assert.Equal(t, http.StatusUnauthorized, status)
			assert.Contains(t, body, "of no authority that is trusted now")
			_, body, _, err = askTLS(nobody, "/who")
			require.NoError(t, err)
			assert.Equal(t, "<nil>", body)
		})
	}
}

// A client whose certificate is renewed in time has no failed request, though its connections
// would live for longer than the certificate: they end before.
func TestX24_CertificatesOfClientsExpire(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := certtest.NewAuthority(t)
				r := run(t, server.WithTLS(trusting(ca.TLS(t, "node"), ca.Pool())), sayingWho())
				issued := 0
				c := r.tlsClient(&tls.Config{RootCAs: ca.Pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					issued++
					pair := ca.TLS(t, "client", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(10 * time.Minute) })
					return &pair, nil
				}}, http2)
				for range 60 {
					status, body, _, err := askTLS(c, "/who")
					require.NoError(t, err)
					require.Equal(t, "dns:client <nil>", body, status)
					time.Sleep(30 * time.Second)
				}
				assert.Greater(t, issued, 3)
				assert.Less(t, issued, 30, "connections are used again")
				r.client.CloseIdleConnections()
			})
		})
	}
}

// X24: plain HTTP on the port for TLS has an answer that says what is wrong.
func TestX24_PlainHTTPToTLS(t *testing.T) {
	r := run(t, server.WithTLS(serverTLS(t)))
	conn, err := r.listener.DialContext(t.Context(), "", "")
	require.NoError(t, err)
	defer conn.Close()
	go func() { _, _ = io.WriteString(conn, "GET /v1/position HTTP/1.1\r\nHost: a\r\n\r\n") }()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.Equal(t, http.StatusBadRequest, res.StatusCode)
	assert.Contains(t, string(body), "HTTP request to an HTTPS server")
}

// A configuration without a certificate is refused, and nothing listens then.
func TestWithTLS_NoCertificate(t *testing.T) {
	r := run(t, server.WithTLS(&tls.Config{}))
	require.ErrorIs(t, <-r.ended, conf.ErrInvalid)
	close(r.ended)
	_, err := r.listener.DialContext(t.Context(), "", "")
	assert.Error(t, err)
}

// A node that speaks TLS registers as one.
func TestWithTLS_Registers(t *testing.T) {
	known := &registry{}
	r := run(t, server.WithTLS(serverTLS(t)), server.WithRegistry(known, ""))
	require.Eventually(t, func() bool { return len(known.seen()) > 0 }, time.Minute, time.Millisecond)
	r.stop()
	r.wait()
	assert.Equal(t, []string{"register https://127.0.0.1:1210", "unregister https://127.0.0.1:1210"}, known.seen())
}

// C14 with TLS: the certificate of a node, the authority of it and those of its clients are
// replaced under a thousand parked polls, and no poll or read fails. Clients read their files
// too.
func TestX24_RotationUnderParkedPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const transports, each = 20, 50
		ca, next := certtest.NewAuthority(t), certtest.NewAuthority(t)
		dir, own := t.TempDir(), t.TempDir()
		files := tlsfile.Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: filepath.Join(dir, "ca.pem")}
		of := tlsfile.Files{Cert: filepath.Join(own, "cert.pem"), Key: filepath.Join(own, "key.pem"), CA: filepath.Join(own, "ca.pem")}
		ca.Write(t, dir, "node")
		ca.Write(t, own, "node")
		certs, err := tlsfile.NewServer(files, tlsfile.RequiredClientCert)
		require.NoError(t, err)
		r := run(t, server.WithTLS(certs.Config()))
		key := conf.NewKey("", "k")
		first := r.publish(key, "0")

		ctx, stop := context.WithCancel(t.Context())
		var polls, reads atomic.Int64
		var working sync.WaitGroup
		for i := range transports {
			mine, err := tlsfile.NewClient(of)
			require.NoError(t, err)
			var pool atomic.Pointer[http.Transport]
			config := mine.Config()
			used := func() *http.Client { // what httptransport does with WithTLSSource, on a network in memory
				if now := mine.Config(); pool.Load() == nil || now != config {
					config = now
					if before := pool.Swap(&http.Transport{DialContext: r.listener.DialContext, TLSClientConfig: config.Clone(), ForceAttemptHTTP2: i%2 == 0}); before != nil {
						before.CloseIdleConnections()
					}
				}
				return &http.Client{Transport: pool.Load()}
			}
			var mu sync.Mutex
			open := func() *httptransport.Transport {
				mu.Lock()
				defer mu.Unlock()
				tr, err := httptransport.New("https://node", httptransport.WithHTTPClient(used()))
				require.NoError(t, err)
				return tr
			}
			for range each {
				working.Go(func() {
					at := first
					for ctx.Err() == nil {
						resp, err := open().Changes(ctx, &conf.ChangesRequest{After: at, Wait: 20 * time.Second})
						if ctx.Err() != nil {
							break
						}
						if !assert.NoError(t, err) {
							return
						}
						polls.Add(1)
						at = resp.Position
					}
				})
			}
			working.Go(func() {
				for ctx.Err() == nil {
					_, err := open().Fetch(ctx, &conf.FetchRequest{Key: key})
					if ctx.Err() == nil && !assert.NoError(t, err) {
						return
					}
					reads.Add(1)
					time.Sleep(700 * time.Millisecond)
				}
			})
			defer func() { pool.Load().CloseIdleConnections() }()
		}
		goOn := func(step string) {
			t.Helper()
			before := polls.Load()
			for n := range 3 {
				time.Sleep(5 * time.Second)
				r.publish(key, fmt.Sprint(step, n))
				synctest.Wait()
			}
			require.GreaterOrEqual(t, polls.Load()-before, int64(3*transports*each), step)
		}
		replace := func(path string, text []byte) { require.NoError(t, os.WriteFile(path, text, 0o600)) }
		both := append(append([]byte{}, ca.PEM...), next.PEM...)
		goOn("as it was")
		replace(files.CA, both)
		replace(of.CA, both)
		goOn("both authorities")
		next.Write(t, dir, "node")
		replace(files.CA, both)
		goOn("the node's certificate")
		next.Write(t, own, "node")
		replace(of.CA, both)
		goOn("the clients' certificates")
		replace(files.CA, next.PEM)
		replace(of.CA, next.PEM)
		goOn("the old authority is gone")
		stop()
		working.Wait()
		assert.Greater(t, reads.Load(), int64(transports*50))
		_, _, _, err = askTLS(r.tlsClient(&tls.Config{RootCAs: ca.Pool()}, false), "/livez")
		var unknown *tls.CertificateVerificationError
		assert.ErrorAs(t, err, &unknown, "one that keeps the old authority in memory")
	})
}

// Servers that speak TLS nudge each other over it, at the addresses that name servers list, and
// take none of a caller who does not know the secret.
func TestWithTLS_Peers(t *testing.T) {
	ca := certtest.NewAuthority(t)
	store := memstore.New()
	t.Cleanup(func() { assert.NoError(t, store.Close()) })
	secret, err := cluster.NewSecret("a secret that is long enough to be one")
	require.NoError(t, err)
	var urls []string
	var listeners []net.Listener
	for range 2 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		listeners, urls = append(listeners, ln), append(urls, "https://"+ln.Addr().String())
	}
	pool := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}
	t.Cleanup(pool.CloseIdleConnections)
	client := &http.Client{Transport: pool}
	for _, ln := range listeners {
		srv, err := diamond.NewServer(store)
		require.NoError(t, err)
		config := &tls.Config{Certificates: []tls.Certificate{ca.TLS(t, "127.0.0.1")}}
		hosted(t, srv, server.WithListener(ln), server.WithTLS(config), server.WithPeers(transport.Static(urls...), secret), server.WithPeerClient(client))
	}
	for _, url := range urls {
		require.EventuallyWithT(t, func(e *assert.CollectT) {
			res, err := client.Get(url + "/metrics")
			if !assert.NoError(e, err) {
				return
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			assert.NoError(e, err)
			assert.Contains(e, string(body), "\ndiamond_cluster_members{state=\"up\"} 1\n")
			assert.Contains(e, string(body), "\ndiamond_cluster_members{state=\"down\"} 0\n")
		}, time.Minute, 10*time.Millisecond)
		res, err := client.Post(url+"/v1/peer/nudge", "application/json", strings.NewReader(`{"position":""}`))
		require.NoError(t, err)
		res.Body.Close()
		assert.Equal(t, http.StatusForbidden, res.StatusCode)
	}
}

// X20 with TLS: who opens a connection and does not finish the handshake, or sends a header one
// byte at a time after it, loses it within ten seconds. Others are served meanwhile.
func TestX20_SlowHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := certtest.NewAuthority(t)
		r := run(t, server.WithTLS(&tls.Config{Certificates: []tls.Certificate{ca.TLS(t, "node")}}))
		trusted := &tls.Config{RootCAs: ca.Pool(), ServerName: "node"}
		open := func() net.Conn {
			conn, err := r.listener.DialContext(t.Context(), "", "")
			require.NoError(t, err)
			t.Cleanup(func() { conn.Close() })
			return conn
		}
		dribble := func(w io.Writer, text string) {
			for i := range len(text) {
				if _, err := io.WriteString(w, text[i:i+1]); err != nil {
					return
				}
				time.Sleep(9 * time.Second)
			}
		}
		silent, half := open(), open()
		shaken := tls.Client(open(), trusted)
		require.NoError(t, shaken.HandshakeContext(t.Context()))
		var writing sync.WaitGroup
		writing.Go(func() { dribble(half, "\x16\x03\x01\x02\x00\x01\x00") })
		writing.Go(func() { dribble(shaken, "GET /livez HTTP/1.1\r\nHost: node\r\n") })
		good := r.tlsClient(trusted, true)
		begun := time.Now()
		for _, conn := range []net.Conn{silent, half, shaken} {
			_, err := io.Copy(io.Discard, conn)
			_ = err // closed, or reset
			assert.LessOrEqual(t, time.Since(begun), 11*time.Second)
			status, _, _, err := askTLS(good, "/livez")
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, status)
		}
		assert.GreaterOrEqual(t, time.Since(begun), 9*time.Second)
		writing.Wait()
		good.CloseIdleConnections()
	})
}
