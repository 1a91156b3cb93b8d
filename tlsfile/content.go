package tlsfile

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
)

// content is what the files have at one time. It is immutable.
type content struct {
	sum         [sha256.Size]byte // of all files
	certificate *tls.Certificate  // nil if there is no such file
	authorities *x509.CertPool    // nil if there is no such file
}
