package cluster

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"

	diamond "github.com/linnaname/gdiamond"
)

// CertificateFiles names the files of [Certificates], each in PEM.
type CertificateFiles struct {
	Cert string // the member's certificate, and those between it and the authority's, if any; for servers and clients, and for the host by which others call it
	Key  string // the certificate's private key; not everybody on the machine may read it
	CA   string // certificates of the authorities that issue those of members, and no others: whoever has one of theirs is a member
}

// maxPEM is how many bytes a file of certificates may have.
const maxPEM = 1 << 20

// credentials are what files had at one time.
type credentials struct {
	sum            [sha256.Size]byte // of all files
	leaf           *x509.Certificate
	server, client *tls.Config // not changed any more
}

// read returns what the files have: known, if that is the same.
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
	// Of their sums: texts of several files are not one text of another.
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
		return nil, diamond.Errorf(diamond.ErrInvalid, "certificate %+q with key %+q: %v", f.Cert, f.Key, err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(ca) {
		return nil, diamond.Errorf(diamond.ErrInvalid, "certificate authority file %+q: has no certificate in PEM", f.CA)
	}
	base := tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}}
	c := &credentials{sum: sum, leaf: pair.Leaf, server: base.Clone(), client: base.Clone()}
	c.server.ClientAuth, c.server.ClientCAs = tls.RequireAndVerifyClientCert, authorities
	c.client.RootCAs = authorities
	return c, nil
}

// flaw says why no peer of the same authorities would take the certificate.
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
