// Package certtest issues certificates for tests.
package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Authority issues certificates.
type Authority struct {
	PEM  []byte // certificate of the authority
	cert *x509.Certificate
	key  crypto.Signer
}

// NewAuthority returns a new authority. Its certificates are valid for a day.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "authority " + rand.Text()[:8]},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	a := &Authority{key: key}
	a.PEM, a.cert = sign(t, template, template, key, key)
	return a
}

// Issue returns a certificate of host for servers and clients, and its key, in PEM. It applies
// changes before signing.
func (a *Authority) Issue(t testing.TB, host string, changes ...func(*x509.Certificate)) (cert, key []byte) {
	t.Helper()
	private := newKey(t)
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: host},
		NotBefore:   a.cert.NotBefore,
		NotAfter:    a.cert.NotAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	for _, change := range changes {
		change(template)
	}
	cert, _ = sign(t, template, a.cert, private, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// TLS is like Issue, but returns the form of crypto/tls.
func (a *Authority) TLS(t testing.TB, host string, changes ...func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(a.Issue(t, host, changes...))
	require.NoError(t, err)
	return pair
}

// Pool returns a pool with the authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Write issues a certificate and writes cert.pem, key.pem and ca.pem in dir.
func (a *Authority) Write(t testing.TB, dir, host string, changes ...func(*x509.Certificate)) {
	t.Helper()
	cert, key := a.Issue(t, host, changes...)
	for name, text := range map[string][]byte{"cert.pem": cert, "key.pem": key, "ca.pem": a.PEM} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func sign(t testing.TB, template, parent *x509.Certificate, key, by crypto.Signer) ([]byte, *x509.Certificate) {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), cert
}
