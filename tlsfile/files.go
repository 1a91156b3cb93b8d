package tlsfile

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/privatefile"
)

// Files are the paths of PEM files. Cert and Key belong together: both are given, or none.
type Files struct {
	Cert string // the certificate that is shown to the other side, with intermediate ones, if any
	Key  string // the certificate's private key; must not be readable by everybody on the machine
	CA   string // the certificates of the authorities that the other side's certificate may be of
}

// maxPEM is the largest size of a file, in bytes.
const maxPEM = 1 << 20

// read returns the content of the files, or known if it is the same.
func (f *Files) read(known *content) (*content, error) {
	var texts [3][]byte
	for i, file := range []struct {
		what, path string
		read       func(what, path string, limit int64) ([]byte, error)
	}{
		{"certificate", f.Cert, privatefile.ReadPublic},
		{"certificate's key", f.Key, privatefile.Read},
		{"certificate authority", f.CA, privatefile.ReadPublic},
	} {
		if file.path == "" {
			continue
		}
		var err error
		if texts[i], err = file.read(file.what, file.path, maxPEM); err != nil {
			return nil, err
		}
	}
	// Hash the hashes, so that no two sets of files give the same input.
	var sums []byte
	for _, text := range texts {
		sum := sha256.Sum256(text)
		sums = append(sums, sum[:]...)
	}
	c := &content{sum: sha256.Sum256(sums)}
	if known != nil && known.sum == c.sum {
		return known, nil
	}
	if f.Cert != "" {
		pair, err := tls.X509KeyPair(texts[0], texts[1])
		if err != nil {
			return nil, conf.Errorf(conf.ErrInvalid, "certificate %+q with key %+q: %v", f.Cert, f.Key, err)
		}
		c.certificate = &pair
	}
	if f.CA != "" {
		c.authorities = x509.NewCertPool()
		if !c.authorities.AppendCertsFromPEM(texts[2]) {
			return nil, conf.Errorf(conf.ErrInvalid, "certificate authority file %+q: has no certificate in PEM", f.CA)
		}
	}
	return c, nil
}

// check refuses a certificate without its key, and a key without its certificate.
func (f *Files) check() error {
	if (f.Cert == "") != (f.Key == "") {
		return conf.Errorf(conf.ErrInvalid, "certificate %+q with key %+q: give both or none", f.Cert, f.Key)
	}
	return nil
}
