package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"time"

	"github.com/linnaname/gdiamond/tlsfile"
)

// Certificates are the certificate of a member and the authorities that members trust, read
// from files, for TLS with a certificate at both ends. The files may be replaced at any time.
// They are read again for new connections, at most once a second. While the files do not
// match, for example because only one of them is new, the previous ones stay in use.
//
// Certificates are safe for concurrent use, start no goroutines and need no closing.
type Certificates struct {
	server *tlsfile.Server
	client *tlsfile.Client
}

// ReadCertificates reads certificates from files, which must all be given: Cert must be valid
// for servers and clients, and for the host by which others call the member, and CA must have
// only authorities that issue no certificates but those of members, because anyone with one of
// these is a member. The logger, which may be nil, is told about replaced files, and about a
// certificate that no peer will accept, such as an expired one. That is not an error, because
// a server does not need peers.
//
// Errors wrap ErrInvalid if the files can be read but not used: everybody on the machine may
// read the key, the key does not belong to the certificate, or a file has the wrong content.
func ReadCertificates(files tlsfile.Files, logger *slog.Logger) (*Certificates, error) {
	server, err := tlsfile.NewServer(files, tlsfile.RequiredClientCert, tlsfile.WithMinVersion(tls.VersionTLS13),
		tlsfile.WithName("certificate for peers"), tlsfile.WithLogger(logger), tlsfile.WithCheck(flaw))
	if err != nil {
		return nil, err
	}
	client, err := tlsfile.NewClient(files, tlsfile.WithMinVersion(tls.VersionTLS13)) // of the same files, so it need not log too
	if err != nil {
		return nil, err
	}
	return &Certificates{server, client}, nil
}

// ServerConfig returns the configuration of a listener for members only. It requires TLS 1.3
// and a client certificate from one of the authorities.
func (c *Certificates) ServerConfig() *tls.Config { return c.server.Config() }

// Expires returns when the certificate expires that is in use now.
func (c *Certificates) Expires() time.Time { return c.server.Expires() }

// Transport returns a transport for https requests to other members. It presents the
// certificate, accepts only a certificate of the authorities for the requested host, and
// uses no proxy.
func (c *Certificates) Transport() *http.Transport {
	return &http.Transport{
		DialTLSContext:         c.client.DialTLS,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// flaw returns the reason why no peer of the same authorities would accept the certificate,
// if there is one.
func flaw(certificate tls.Certificate, authorities *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, der := range certificate.Certificate[1:] {
		if cert, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(cert)
		}
	}
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := certificate.Leaf.Verify(x509.VerifyOptions{
			Roots: authorities, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{use},
		})
		if err != nil {
			return err
		}
	}
	return nil
}
