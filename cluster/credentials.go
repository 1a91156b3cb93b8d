package cluster

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"

	"github.com/linnaname/gdiamond/conf"
)

// CertificateFiles names the files of [Certificates], each in PEM.
type CertificateFiles struct {
	Cert string // the member's certificate with intermediate ones, if any; valid for servers and clients, and for the host by which others call the member
	Key  string // the certificate's private key; must not be readable by everybody on the machine
	CA   string // certificates of the authorities that issue only those of members: anyone with one of their certificates is a member
}

// maxPEM is the largest size of a certificate file, in bytes.
const maxPEM = 1 << 20

// credentials are the contents of the files at one time.
type credentials struct {
	sum            [sha256.Size]byte // of all files
	leaf           *x509.Certificate
	server, client *tls.Config // immutable
}

// read returns the credentials in the files, or known if they are the same.
func (f *CertificateFiles) read(known *credentials) (*credentials, error) {
	cert, err := readFile("certificate", f.Cert, maxPEM, nil)
	if err != nil {
		return nil, err
	}
	key, err := readPrivate("certificate's key", f.Key, maxPEM)
	if err != nil {
		return nil, err
	}
	ca, err := readFile("certificate authority", f.CA, maxPEM, nil)
	if err != nil {
		return nil, err
	}
	// Hash the hashes, so that no two sets of files give the same input.
	var sums []byte
	for _, text := range [][]byte{cert, key, ca} {
		sum := sha256.Sum256(text)
		sums = append(sums, sum[:]...)
	}
	sum := sha256.Sum256(sums)
	if known != nil && known.sum == sum {
		return known, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, conf.Errorf(conf.ErrInvalid, "certificate %+q with key %+q: %v", f.Cert, f.Key, err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(ca) {
		return nil, conf.Errorf(conf.ErrInvalid, "certificate authority file %+q: has no certificate in PEM", f.CA)
	}
	base := tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}}
	c := &credentials{sum: sum, leaf: pair.Leaf, server: base.Clone(), client: base.Clone()}
	c.server.ClientAuth, c.server.ClientCAs = tls.RequireAndVerifyClientCert, authorities
	c.client.RootCAs = authorities
	return c, nil
}

// flaw returns the reason why no peer of the same authorities would accept the certificate,
// if there is one.
func (c *credentials) flaw() error {
	between := x509.NewCertPool()
	for _, der := range c.server.Certificates[0].Certificate[1:] {
		if cert, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(cert)
		}
	}
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := c.leaf.Verify(x509.VerifyOptions{
			Roots: c.server.ClientCAs, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{use},
		})
		if err != nil {
			return err
		}
	}
	return nil
}
