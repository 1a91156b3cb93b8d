package tlsfile

import "crypto/tls"

// ClientAuth says whether clients show certificates.
type ClientAuth int

// The values of ClientAuth. A certificate that a client shows must be of one of the
// authorities; otherwise the connection fails.
const (
	NoClientCert       ClientAuth = iota // none is asked for
	OptionalClientCert                   // a client may show one
	RequiredClientCert                   // a client must show one
)

// std returns the value of crypto/tls. Each verifies what a client shows.
func (a ClientAuth) std() tls.ClientAuthType {
	switch a {
	case OptionalClientCert:
		return tls.VerifyClientCertIfGiven
	case RequiredClientCert:
		return tls.RequireAndVerifyClientCert
	default:
		return tls.NoClientCert
	}
}
