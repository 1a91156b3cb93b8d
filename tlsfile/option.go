package tlsfile

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// Option changes a default of [NewServer] and [NewClient].
type Option func(*settings)

// settings holds the values that options set.
type settings struct {
	logger     *slog.Logger
	name       string
	check      func(tls.Certificate, *x509.CertPool) error
	minVersion uint16
}

func newSettings(opts []Option) settings {
	s := settings{logger: slog.New(slog.DiscardHandler), name: "certificate", check: checkTime, minVersion: tls.VersionTLS12}
	for _, opt := range opts {
		opt(&s)
	}
	return s
}

// checkTime returns an error if the certificate is not valid now.
func checkTime(certificate tls.Certificate, _ *x509.CertPool) error {
	switch now := time.Now(); {
	case now.Before(certificate.Leaf.NotBefore):
		return conf.Errorf(conf.ErrInvalid, "it is not valid yet; is the clock right?")
	case now.After(certificate.Leaf.NotAfter):
		return conf.Errorf(conf.ErrInvalid, "it has expired")
	}
	return nil
}

// WithLogger sets the logger, which is told about each replacement. By default nothing is
// logged. No record contains a key.
func WithLogger(logger *slog.Logger) Option {
	return func(s *settings) {
		if logger != nil {
			s.logger = logger
		}
	}
}

// WithName sets what log records call the certificate. The default is "certificate".
func WithName(name string) Option {
	return func(s *settings) { s.name = name }
}

// WithCheck sets a function that returns why the other side would refuse a certificate, with
// the authorities of the files, or nil if it would not. It is called for each certificate that
// comes into use. Its error is logged, and prevents nothing, because a certificate that is
// refused is no worse than none. By default a certificate is told of that is not valid now.
func WithCheck(check func(certificate tls.Certificate, authorities *x509.CertPool) error) Option {
	return func(s *settings) { s.check = check }
}

// WithMinVersion sets the least version of TLS, such as [tls.VersionTLS13]. The default is
// TLS 1.2.
func WithMinVersion(version uint16) Option {
	return func(s *settings) { s.minVersion = version }
}
