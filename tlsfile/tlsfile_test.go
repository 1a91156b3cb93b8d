package tlsfile_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/certtest"
	"github.com/linnaname/gdiamond/tlsfile"
)

func filesIn(dir string) tlsfile.Files {
	return tlsfile.Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: filepath.Join(dir, "ca.pem")}
}

// written returns the files of a new certificate.
func written(t *testing.T, ca *certtest.Authority, changes ...func(*x509.Certificate)) tlsfile.Files {
	t.Helper()
	dir := t.TempDir()
	ca.Write(t, dir, "node", changes...)
	return filesIn(dir)
}

func newServer(t *testing.T, files tlsfile.Files, auth tlsfile.ClientAuth, opts ...tlsfile.Option) *tls.Config {
	t.Helper()
	s, err := tlsfile.NewServer(files, auth, opts...)
	require.NoError(t, err)
	return s.Config()
}

// shaken is the result of a handshake.
type shaken struct {
	client, server       error
	atClient, atServer   tls.ConnectionState
	byServer, fromClient string // serial numbers of the certificates that were shown
}

// shake has a client and a server shake hands, and say a word.
func shake(t *testing.T, server, client *tls.Config) (s shaken) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // a pipe would keep both waiting if the client refuses while the server writes
	require.NoError(t, err)
	defer ln.Close()
	b, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	a, err := ln.Accept()
	require.NoError(t, err)
	listening, dialing := tls.Server(a, server), tls.Client(b, client)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer a.Close()
		if s.server = listening.HandshakeContext(t.Context()); s.server == nil {
			_, s.server = listening.Write([]byte("x"))
		}
	}()
	if s.client = dialing.HandshakeContext(t.Context()); s.client == nil {
		_, s.client = dialing.Read(make([]byte, 1)) // which tells, in TLS 1.3, that the server refuses the certificate
	}
	_ = b.Close()
	<-done
	s.atClient, s.atServer = dialing.ConnectionState(), listening.ConnectionState()
	s.byServer, s.fromClient = serial(s.atClient.PeerCertificates), serial(s.atServer.PeerCertificates)
	return s
}

func serial(certs []*x509.Certificate) string {
	if len(certs) == 0 {
		return ""
	}
	return certs[0].SerialNumber.String()
}

// trusting is a client that trusts an authority and calls the server by its name.
func trusting(ca *certtest.Authority) *tls.Config {
	return &tls.Config{RootCAs: ca.Pool(), ServerName: "node", NextProtos: []string{"h2"}}
}

// named returns a copy of a client's configuration for a server by the name of host.
func named(config *tls.Config, host string) *tls.Config {
	config = config.Clone()
	config.ServerName = host
	return config
}

// A server shows its certificate, speaks HTTP/2, and wants of clients what it was told to.
func TestServer_ClientAuth(t *testing.T) {
	ca, clients, stranger := certtest.NewAuthority(t), certtest.NewAuthority(t), certtest.NewAuthority(t)
	files := written(t, ca)
	require.NoError(t, os.WriteFile(files.CA, clients.PEM, 0o600))
	with := func(by *certtest.Authority, changes ...func(*x509.Certificate)) *tls.Config {
		config := trusting(ca)
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair := by.TLS(t, "client", changes...)
			return &pair, nil // also if the server does not ask for one of that authority
		}
		return config
	}
	expired := func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Minute) }
	ofServer := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	for _, c := range []struct {
		auth           tlsfile.ClientAuth
		client         *tls.Config
		who            string
		enters, proves bool
	}{
		{tlsfile.NoClientCert, trusting(ca), "no certificate", true, false},
		{tlsfile.NoClientCert, with(clients), "certificate that nobody asks for", true, false},
		{tlsfile.OptionalClientCert, trusting(ca), "no certificate", true, false},
		{tlsfile.OptionalClientCert, with(clients), "certificate", true, true},
		{tlsfile.OptionalClientCert, with(stranger), "stranger's certificate", false, false},
		{tlsfile.OptionalClientCert, with(clients, expired), "expired certificate", false, false},
		{tlsfile.OptionalClientCert, with(clients, ofServer), "certificate of a server", false, false},
		{tlsfile.RequiredClientCert, trusting(ca), "no certificate", false, false},
		{tlsfile.RequiredClientCert, with(clients), "certificate", true, true},
		{tlsfile.RequiredClientCert, with(stranger), "stranger's certificate", false, false},
		{tlsfile.RequiredClientCert, with(clients, expired), "expired certificate", false, false},
	} {
		used := files
		if c.auth == tlsfile.NoClientCert {
			used.CA = ""
		}
		s := shake(t, newServer(t, used, c.auth), c.client)
		assert.Equal(t, c.enters, s.client == nil && s.server == nil, "auth %d, %s: %v, %v", c.auth, c.who, s.client, s.server)
		if c.enters {
			assert.Equal(t, "h2", s.atClient.NegotiatedProtocol)
			assert.Equal(t, c.proves, len(s.atServer.VerifiedChains) > 0, "auth %d, %s", c.auth, c.who)
		}
	}
}

// X24: nobody is served with an old TLS, and a client takes no certificate that is expired, of
// another host or authority.
func TestX24_HandshakesThatAreRefused(t *testing.T) {
	ca, stranger := certtest.NewAuthority(t), certtest.NewAuthority(t)
	good := written(t, ca)
	client, err := tlsfile.NewClient(tlsfile.Files{CA: good.CA})
	require.NoError(t, err)
	plain := func(files tlsfile.Files) tlsfile.Files { files.CA = ""; return files }
	for name, c := range map[string]struct {
		server tlsfile.Files
		client *tls.Config
		says   string // or "" if it succeeds
	}{
		"good":              {good, named(client.Config(), "node"), ""},
		"expired":           {written(t, ca, func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Minute) }), named(client.Config(), "node"), "expired"},
		"not valid yet":     {written(t, ca, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }), named(client.Config(), "node"), "not yet valid"},
		"of another host":   {good, named(client.Config(), "other"), "valid for node, not other"},
		"of a client":       {written(t, ca, func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] }), named(client.Config(), "node"), "incompatible key usage"},
		"unknown authority": {written(t, stranger), named(client.Config(), "node"), "unknown authority"},
		"TLS 1.0":           {good, &tls.Config{RootCAs: ca.Pool(), ServerName: "node", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, "protocol version"},
		"TLS 1.1":           {good, &tls.Config{RootCAs: ca.Pool(), ServerName: "node", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "protocol version"},
		"TLS 1.2":           {good, &tls.Config{RootCAs: ca.Pool(), ServerName: "node", MaxVersion: tls.VersionTLS12}, ""},
	} {
		s := shake(t, newServer(t, plain(c.server), tlsfile.NoClientCert), c.client)
		if c.says == "" {
			assert.NoError(t, s.client, name)
		} else {
			assert.ErrorContains(t, s.client, c.says, name)
		}
	}
	old := &tls.Config{Certificates: []tls.Certificate{ca.TLS(t, "node")}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	assert.ErrorContains(t, shake(t, old, named(client.Config(), "node")).client, "protocol version", "an old server")
}

// A server and a client that run take files that are replaced, and not before these belong
// together. What the client uses is the same until then.
func TestX25_FilesAreReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		ca, next := certtest.NewAuthority(t), certtest.NewAuthority(t)
		files := written(t, ca)
		logger := tlsfile.WithLogger(slog.New(slog.NewTextHandler(&log, nil)))
		server, err := tlsfile.NewServer(files, tlsfile.RequiredClientCert, logger)
		require.NoError(t, err)
		config := server.Config()
		client, err := tlsfile.NewClient(files)
		require.NoError(t, err)
		first := shake(t, config, named(client.Config(), "node"))
		require.NoError(t, errors.Join(first.client, first.server))
		assert.Equal(t, first.byServer, first.fromClient)
		was := client.Config()
		assert.WithinDuration(t, time.Now().Add(24*time.Hour), server.Expires(), time.Minute)
		assert.Equal(t, server.Expires(), client.Expires())

		cert, key := ca.Issue(t, "node", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Hour) })
		require.NoError(t, os.WriteFile(files.Cert, cert, 0o600))
		for range 5 {
			time.Sleep(2 * time.Second)
			assert.Equal(t, first.byServer, shake(t, config, named(client.Config(), "node")).byServer, "the key is still the old one")
		}
		assert.Same(t, was, client.Config())
		assert.Equal(t, 1, strings.Count(log.String(), "certificate cannot be replaced"), "said once:\n%s", log.String())
		require.NoError(t, os.WriteFile(files.Key, key, 0o600))
		time.Sleep(2 * time.Second)
		second := shake(t, config, named(client.Config(), "node"))
		require.NoError(t, errors.Join(second.client, second.server))
		assert.NotEqual(t, first.byServer, second.byServer)
		assert.Equal(t, second.byServer, second.fromClient)
		assert.NotSame(t, was, client.Config())
		assert.WithinDuration(t, time.Now().Add(time.Hour), server.Expires(), time.Minute)
		assert.Equal(t, 1, strings.Count(log.String(), "certificate replaced"), log.String())

		stale := client.Config()
		next.Write(t, filepath.Dir(files.Cert), "node")
		time.Sleep(2 * time.Second)
		third := shake(t, config, named(client.Config(), "node"))
		require.NoError(t, errors.Join(third.client, third.server))
		third = shake(t, config, named(stale, "node"))
		assert.ErrorContains(t, third.client, "unknown authority", "one that keeps the old authority in memory")
		old := stale.Certificates[0]
		stale = named(stale, "node")
		stale.RootCAs, stale.Certificates = next.Pool(), nil
		stale.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &old, nil }
		assert.ErrorContains(t, shake(t, config, stale).server, "unknown authority", "one that shows the certificate of the old one")
		assert.NotContains(t, log.String(), string(key))
	})
}

// What cannot be used is refused, before anything listens.
func TestX25_FilesThatAreRefused(t *testing.T) {
	ca := certtest.NewAuthority(t)
	for name, c := range map[string]struct {
		change  func(f *tlsfile.Files) error
		says    string
		invalid bool
	}{
		"missing":           {func(f *tlsfile.Files) error { return os.Remove(f.CA) }, "certificate authority", false},
		"no authority":      {func(f *tlsfile.Files) error { return os.WriteFile(f.CA, []byte("x"), 0o600) }, "no certificate in PEM", true},
		"no certificate":    {func(f *tlsfile.Files) error { return os.WriteFile(f.Cert, nil, 0o600) }, "failed to find any PEM data", true},
		"another's key":     {func(f *tlsfile.Files) error { _, key := ca.Issue(t, "b"); return os.WriteFile(f.Key, key, 0o600) }, "does not match", true},
		"key for all":       {func(f *tlsfile.Files) error { return os.Chmod(f.Key, 0o644) }, "everybody on this machine", true},
		"too large":         {func(f *tlsfile.Files) error { return os.Truncate(f.CA, (1<<20)+1) }, "more than", true},
		"key is not given":  {func(f *tlsfile.Files) error { f.Key = ""; return nil }, "give both or none", true},
		"cert is not given": {func(f *tlsfile.Files) error { f.Cert = ""; return nil }, "give both or none", true},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "key for all" && runtime.GOOS == "windows" {
				t.Skip("modes say nothing there")
			}
			files := written(t, ca)
			require.NoError(t, c.change(&files))
			_, err := tlsfile.NewServer(files, tlsfile.OptionalClientCert)
			require.ErrorContains(t, err, c.says)
			assert.Equal(t, c.invalid, errors.Is(err, conf.ErrInvalid))
			_, err = tlsfile.NewClient(files)
			require.ErrorContains(t, err, c.says)
			assert.Equal(t, c.invalid, errors.Is(err, conf.ErrInvalid))
		})
	}
	files := written(t, ca)
	noCA := files
	noCA.CA = ""
	for _, err := range []error{
		second(tlsfile.NewServer(files, tlsfile.NoClientCert)), second(tlsfile.NewServer(noCA, tlsfile.RequiredClientCert)),
		second(tlsfile.NewServer(noCA, tlsfile.OptionalClientCert)), second(tlsfile.NewServer(tlsfile.Files{CA: files.CA}, tlsfile.OptionalClientCert)),
		second(tlsfile.NewClient(tlsfile.Files{})),
	} {
		assert.ErrorIs(t, err, conf.ErrInvalid)
	}
}

func second[T any](_ T, err error) error { return err }

// A certificate that is not valid now is told of, and keeps no server from starting.
func TestServer_TellsOfExpiry(t *testing.T) {
	ca := certtest.NewAuthority(t)
	for says, change := range map[string]func(*x509.Certificate){
		"it has expired":      func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Minute) },
		"it is not valid yet": func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) },
	} {
		var log strings.Builder
		newServer(t, written(t, ca, change), tlsfile.OptionalClientCert, tlsfile.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		assert.Contains(t, log.String(), says)
	}
}

// A client without files of its own takes what the system trusts, and nothing else.
func TestClient_OnlyOwnCertificate(t *testing.T) {
	ca := certtest.NewAuthority(t)
	files := written(t, ca)
	own := files
	own.CA = ""
	client, err := tlsfile.NewClient(own)
	require.NoError(t, err)
	assert.Nil(t, client.Config().RootCAs)
	assert.Len(t, client.Config().Certificates, 1)
	assert.Error(t, shake(t, newServer(t, own, tlsfile.NoClientCert), named(client.Config(), "node")).client)
	client, err = tlsfile.NewClient(tlsfile.Files{CA: files.CA})
	require.NoError(t, err)
	assert.Zero(t, client.Expires())
	assert.NoError(t, shake(t, newServer(t, own, tlsfile.NoClientCert), named(client.Config(), "node")).client)
}

// X24: a clock that is an hour off does no harm to certificates that live for longer, and is told
// of where it makes one invalid.
func TestX24_ClockAnHourOff(t *testing.T) {
	ca := certtest.NewAuthority(t)
	short := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(30*time.Minute)
	}
	long := func(c *x509.Certificate) { c.NotBefore = time.Now().Add(-61 * time.Minute) }
	for says, c := range map[string]struct {
		off    time.Duration
		change func(*x509.Certificate)
	}{
		"": {-time.Hour, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(-2 * time.Hour) }}, "has expired": {time.Hour, short}, "not yet valid": {-time.Hour, short},
	} {
		config := trusting(ca)
		config.Time = func() time.Time { return time.Now().Add(c.off) }
		files := written(t, ca, c.change)
		files.CA = ""
		s := shake(t, newServer(t, files, tlsfile.NoClientCert), config)
		if says == "" {
			assert.NoError(t, s.client)
		} else {
			assert.ErrorContains(t, s.client, says)
		}
	}
	files := written(t, ca, long)
	files.CA = ""
	ahead := trusting(ca)
	ahead.Time = func() time.Time { return time.Now().Add(time.Hour) }
	assert.NoError(t, shake(t, newServer(t, files, tlsfile.NoClientCert), ahead).client)
}
