package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/certtest"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

// nudges returns how many nudges a server has delivered.
func (d *daemon) nudges() string { return d.metric(`diamond_peer_nudges_total{result="delivered"}`) }

// peersUp reports whether n peers of a server, which are all, took the last nudge.
func (d *daemon) peersUp(n int) bool {
	return d.metric(`diamond_cluster_members{state="up"}`) == fmt.Sprint(n) && d.metric(`diamond_cluster_members{state="down"}`) == "0"
}

// askPeer asks the peers' listener of d for a path, with a client that is used
// once. It returns the serial number of d's certificate too.
func (d *daemon) askPeer(method, path string, config *tls.Config) (status int, serial string, err error) {
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.peers+path, strings.NewReader("{}"))
	require.NoError(d.t, err)
	req.Header.Set("Authorization", "Bearer "+clusterSecret)
	res, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	return res.StatusCode, res.TLS.PeerCertificates[0].SerialNumber.Text(16), nil
}

// X25 with two servers as processes, at one port of two addresses of this host:
// they find each other through a name server and nudge each other where nobody
// else can; with all certificates and the authority replaced while one of them runs,
// they still do.
func TestX25_PeerListener(t *testing.T) {
	dsn, secret, ca := mariadbtest.Database(t), secretFile(t), certtest.NewAuthority(t)
	names := start(t, "namesrv", "--listen", "127.0.0.1:0", "--cluster-secret-file", secret)
	dirs := []string{t.TempDir(), t.TempDir()}
	ca.Write(t, dirs[0], "127.0.0.1")
	ca.Write(t, dirs[1], "127.0.0.2")
	server := func(n int, listen, peers string) *daemon {
		return start(t, append([]string{
			"server", "--listen", listen, "--mysql", dsn, "--migrate", "--data", filepath.Join(dirs[n], "data"),
			"--namesrv", names.namesrv, "--cluster-secret-file", secret, "--peer-listen", peers,
		}, peerFiles(dirs[n])...)...)
	}
	a := server(0, "127.0.0.1:0", "127.0.0.1:0")
	peersURL, err := url.Parse(a.peers)
	require.NoError(t, err)
	bPeers := net.JoinHostPort("127.0.0.2", peersURL.Port())
	b := server(1, "127.0.0.2:0", bPeers)
	know := func() bool { return a.peersUp(1) && b.peersUp(1) }
	require.Eventually(t, know, time.Minute, 10*time.Millisecond)
	for _, d := range []*daemon{a, b} {
		before := d.nudges()
		require.Equal(t, exitOK, d.clientWith("x", "publish", "linna").code)
		require.Eventually(t, func() bool { return d.nudges() != before }, time.Minute, 10*time.Millisecond)
	}

	member := &tls.Config{Certificates: []tls.Certificate{ca.TLS(t, "127.0.0.1")}, RootCAs: ca.Pool()}
	foreign := certtest.NewAuthority(t).TLS(t, "127.0.0.1")
	stranger := &tls.Config{RootCAs: ca.Pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &foreign, nil }}
	for _, config := range []*tls.Config{{RootCAs: ca.Pool()}, stranger} {
		_, _, err := a.askPeer("POST", "/v1/peer/nudge", config)
		assert.Error(t, err)
	}
	status, _, err := a.askPeer("POST", "/v1/peer/nudge", member)
	require.NoError(t, err)
	assert.Equal(t, http.StatusForbidden, status, "a certificate, but no signature")
	for _, path := range []string{
		"/readyz", "/metrics", "/version", "/v1/position", "/debug/pprof/", "/debug/pprof/heap", "/diamond-server/config?dataId=linna&group=DEFAULT_GROUP",
	} {
		status, _, err := a.askPeer("GET", path, member)
		require.NoError(t, err)
		assert.Equal(t, http.StatusNotFound, status, path)
	}
	for _, path := range []string{"/v1/peer/nudge", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars"} {
		for _, method := range []string{"GET", "POST"} {
			status, _ := httpDo(t, method, a.server+path)
			assert.Equal(t, http.StatusNotFound, status, "%s %s", method, path)
		}
	}

	// All is replaced on disk. A running server shows the new certificate soon, and
	// takes that of another one which has started with it.
	next := certtest.NewAuthority(t)
	next.Write(t, dirs[0], "127.0.0.1")
	next.Write(t, dirs[1], "127.0.0.2")
	renewed := &tls.Config{Certificates: []tls.Certificate{next.TLS(t, "127.0.0.1")}, RootCAs: next.Pool()}
	shown := serial(t, dirs[0])
	require.Eventually(t, func() bool {
		status, found, err := a.askPeer("POST", "/v1/peer/nudge", renewed)
		return err == nil && status == http.StatusForbidden && found == shown
	}, time.Minute, 100*time.Millisecond, "%s", a.stderr)
	revoked := &tls.Config{RootCAs: next.Pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &member.Certificates[0], nil
	}}
	_, _, err = a.askPeer("POST", "/v1/peer/nudge", revoked)
	require.Error(t, err)
	code, _ := b.terminate()
	require.Equal(t, exitOK, code)
	b = server(1, "127.0.0.2:0", bPeers)
	require.Eventually(t, know, time.Minute, 10*time.Millisecond, "%s\n%s", a.stderr, b.stderr)
	code, _ = a.terminate()
	assert.Equal(t, exitOK, code)
}

// serial returns the serial number of the certificate that certtest wrote in dir.
func serial(t *testing.T, dir string) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	require.NoError(t, err)
	return pair.Leaf.SerialNumber.Text(16)
}
