package tlsfile

import (
	"crypto/tls"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// Server has the TLS configuration of a listener.
type Server struct{ watched }

// NewServer reads the files of a listener. Cert and Key must be given. The certificate must be
// valid for servers, and for the names by which clients call this one. With CA, clients may
// show a certificate of one of its authorities: auth says whether they must.
//
// Errors wrap ErrInvalid if the files can be read but not used: everybody on the machine may
// read the key, the key does not belong to the certificate, or a file has the wrong content.
// They also do if auth wants certificates of clients and there is no CA, or the other way
// round. A certificate that has expired is no error, but logged.
func NewServer(files Files, auth ClientAuth, opts ...Option) (*Server, error) {
	switch {
	case files.Cert == "" && files.Key == "":
		return nil, conf.Errorf(conf.ErrInvalid, "certificate: a server needs one, with its key")
	case (auth == NoClientCert) != (files.CA == ""):
		return nil, conf.Errorf(conf.ErrInvalid, "certificate authority: it is needed for certificates of clients, and for nothing else")
	}
	s := &Server{watched{files: files, settings: newSettings(opts)}}
	s.build = func(c *content) *tls.Config {
		return &tls.Config{
			MinVersion:   s.settings.minVersion,
			NextProtos:   []string{"h2", "http/1.1"},
			Certificates: []tls.Certificate{*c.certificate},
			ClientAuth:   auth.std(),
			ClientCAs:    c.authorities,
			// With a ticket a client could go on without showing its certificate.
			SessionTicketsDisabled: auth != NoClientCert,
		}
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

// Config returns a configuration for HTTP/2 and HTTP/1.1, of TLS 1.2 or later. Each new
// connection uses the files as they are then. The caller may change it before its first use,
// but GetConfigForClient has what is used.
func (s *Server) Config() *tls.Config {
	config := s.now().config.Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.now().config, nil }
	return config
}

// Expires returns when the certificate expires that is in use now.
func (s *Server) Expires() time.Time { return s.expires() }
