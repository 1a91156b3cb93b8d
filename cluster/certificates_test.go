package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
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

// shown returns the serial number of the certificate that a listener would show now.
func shown(t *testing.T, config *tls.Config) string {
	t.Helper()
	chosen, err := config.GetConfigForClient(&tls.ClientHelloInfo{})
	require.NoError(t, err)
	assert.Equal(t, tls.RequireAndVerifyClientCert, chosen.ClientAuth)
	assert.NotNil(t, chosen.ClientCAs)
	return chosen.Certificates[0].Leaf.SerialNumber.String()
}

// Files that are replaced are used a second later, and not before they belong together.
func TestX25_CertificatesAreReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		dir, ca := t.TempDir(), certtest.NewAuthority(t)
		ca.Write(t, dir, "10.0.0.1")
		certs, err := ReadCertificates(filesIn(dir), slog.New(slog.NewTextHandler(&log, nil)))
		require.NoError(t, err)
		config := certs.ServerConfig()
		first := shown(t, config)
		time.Sleep(time.Minute)
		require.Equal(t, first, shown(t, config))
		assert.NotContains(t, log.String(), "replaced")

		cert, key := ca.Issue(t, "10.0.0.1")
		require.NoError(t, os.WriteFile(filesIn(dir).Cert, cert, 0o600))
		for range 5 {
			time.Sleep(2 * time.Second)
			require.Equal(t, first, shown(t, config), "the key is still the old one")
		}
		assert.Equal(t, 1, strings.Count(log.String(), "cannot be replaced"), "said once:\n%s", log.String())
		require.NoError(t, os.WriteFile(filesIn(dir).Key, key, 0o600))
		time.Sleep(2 * time.Second)
		second := shown(t, config)
		require.NotEqual(t, first, second)
		assert.Contains(t, log.String(), "certificate for peers replaced")

		// As secrets are mounted in some places: a link to the directory of the day.
		day := t.TempDir()
		ca.Write(t, day, "10.0.0.1")
		for _, name := range []string{"cert.pem", "key.pem", "ca.pem"} {
			require.NoError(t, os.Remove(filepath.Join(dir, name)))
			require.NoError(t, os.Symlink(filepath.Join(day, name), filepath.Join(dir, name)))
		}
		time.Sleep(2 * time.Second)
		third := shown(t, config)
		require.NotEqual(t, second, third)

		require.NoError(t, os.Remove(filesIn(dir).CA))
		time.Sleep(2 * time.Second)
		require.Equal(t, third, shown(t, config), "no file is no news")
		other := certtest.NewAuthority(t)
		other.Write(t, day, "10.0.0.1")
		require.NoError(t, os.Symlink(filepath.Join(day, "ca.pem"), filesIn(dir).CA))
		time.Sleep(2 * time.Second)
		require.NotEqual(t, third, shown(t, config))
		chosen, err := config.GetConfigForClient(&tls.ClientHelloInfo{})
		require.NoError(t, err)
		assert.True(t, chosen.ClientCAs.Equal(other.Pool()))
		assert.NotContains(t, log.String(), string(key))
	})
}

// A client goes on with new files as a listener does.
func TestX25_TransportTakesNewFiles(t *testing.T) {
	dir, ca := t.TempDir(), certtest.NewAuthority(t)
	ca.Write(t, dir, "127.0.0.1")
	certs, err := ReadCertificates(filesIn(dir), nil)
	require.NoError(t, err)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.TLS.PeerCertificates[0].SerialNumber)
	})}
	go func() { _ = srv.Serve(tls.NewListener(inner, certs.ServerConfig())) }()
	defer srv.Close()
	transport := certs.Transport()
	client := &http.Client{Transport: transport}
	ask := func(host string) (string, error) {
		transport.CloseIdleConnections()
		_, port, _ := net.SplitHostPort(inner.Addr().String())
		res, err := client.Get("https://" + net.JoinHostPort(host, port))
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return string(body), err
	}
	first, err := ask("127.0.0.1")
	require.NoError(t, err)
	_, err = ask("localhost")
	require.ErrorContains(t, err, "localhost", "the certificate is of another host")
	certtest.NewAuthority(t).Write(t, dir, "127.0.0.1")
	require.Eventually(t, func() bool {
		again, err := ask("127.0.0.1") // while one end has the new authority and the other not yet, it fails
		return err == nil && again != first
	}, time.Minute, 10*time.Millisecond)
}

func TestX25_CertificatesThatAreRefused(t *testing.T) {
	ca := certtest.NewAuthority(t)
	for name, c := range map[string]struct {
		change  func(f tlsfile.Files) error
		says    string
		invalid bool
	}{
		"missing":        {func(f tlsfile.Files) error { return os.Remove(f.CA) }, "certificate authority", false},
		"no authority":   {func(f tlsfile.Files) error { return os.WriteFile(f.CA, []byte("x"), 0o600) }, "no certificate in PEM", true},
		"no certificate": {func(f tlsfile.Files) error { return os.WriteFile(f.Cert, nil, 0o600) }, "failed to find any PEM data", true},
		"another's key":  {func(f tlsfile.Files) error { _, key := ca.Issue(t, "b"); return os.WriteFile(f.Key, key, 0o600) }, "does not match", true},
		"key for all":    {func(f tlsfile.Files) error { return os.Chmod(f.Key, 0o644) }, "everybody on this machine", true},
		"too large":      {func(f tlsfile.Files) error { return os.Truncate(f.CA, (1<<20)+1) }, "more than", true},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "key for all" && runtime.GOOS == "windows" {
				t.Skip("modes say nothing there")
			}
			dir := t.TempDir()
			ca.Write(t, dir, "10.0.0.1")
			require.NoError(t, c.change(filesIn(dir)))
			_, err := ReadCertificates(filesIn(dir), nil)
			require.ErrorContains(t, err, c.says)
			assert.Equal(t, c.invalid, errors.Is(err, conf.ErrInvalid))
		})
	}
}

// A certificate that no peer takes is told of, but keeps no server from starting.
func TestX25_CertificatesThatNoPeerTakes(t *testing.T) {
	ca := certtest.NewAuthority(t)
	for name, change := range map[string]func(*x509.Certificate){
		"expired":                  func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Minute) },
		"incompatible key usage":   func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] },
		"signed by unknown author": nil,
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			dir := t.TempDir()
			if change != nil {
				ca.Write(t, dir, "10.0.0.1", change)
			} else {
				ca.Write(t, dir, "10.0.0.1")
				require.NoError(t, os.WriteFile(filesIn(dir).CA, certtest.NewAuthority(t).PEM, 0o600))
			}
			_, err := ReadCertificates(filesIn(dir), slog.New(slog.NewTextHandler(&log, nil)))
			require.NoError(t, err)
			assert.Contains(t, log.String(), "certificate for peers is refused by others")
			assert.Contains(t, log.String(), name)
		})
	}
}
