package server

import (
	"crypto/tls"
	"net"

	"github.com/linnaname/gdiamond/conf"
)

// secure returns ln with the TLS of the clients' listener, if there is any.
func (c *config) secure(ln net.Listener) (net.Listener, error) {
	if c.tls == nil {
		return ln, nil
	}
	if len(c.tls.Certificates) == 0 && c.tls.GetCertificate == nil && c.tls.GetConfigForClient == nil {
		return nil, conf.Errorf(conf.ErrInvalid, "TLS: the configuration has no certificate")
	}
	own := c.tls.Clone()
	if own.NextProtos == nil {
		own.NextProtos = []string{"h2", "http/1.1"}
	}
	return tls.NewListener(ln, own), nil
}

// advertisedURL returns addr, at which clients reach the node, as a registry takes it: as an
// https URL if the node speaks TLS.
func (c *config) advertisedURL(addr string) string {
	if c.tls == nil {
		return addr
	}
	return "https://" + addr
}
