package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// leaveBefore is the time before the expiry of a client certificate from which its connection
// ends with each answer, so that a client with a new certificate shows that in time. It is
// longer than a poll waits.
const leaveBefore = 2 * time.Minute

// clientCertificates checks for each request whether the client certificate of its connection
// is still valid. TLS checks only when the connection begins, and connections live for long.
type clientCertificates struct{ config *tls.Config }

// shownKey is the context key of the shown of a connection.
type shownKey struct{}

// shown is what is known about the client certificate of a connection.
type shown struct {
	conn net.Conn // below TLS

	mu    sync.Mutex
	known bool           // guarded by mu: by and err are set
	by    *x509.CertPool // guarded by mu: the authorities that were asked last
	err   error          // guarded by mu: their answer
}

// mark adds what check needs to know of a connection. It is used as part of an
// [http.Server.ConnContext].
func (c *clientCertificates) mark(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, shownKey{}, &shown{conn: underlying(conn)})
}

// handler refuses requests whose client certificate is not valid any more, and passes the
// others on.
func (c *clientCertificates) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		until := httpserve.CertificateExpiry(r)
		err := c.check(r, until)
		if err != nil || time.Until(until) < leaveBefore {
			w.Header().Set("Connection", "close")
		}
		if err != nil {
			writeUnproven(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// check returns ErrUnauthenticated if the certificate has expired, or its authority is not one
// of those that the node takes now.
func (c *clientCertificates) check(r *http.Request, until time.Time) error {
	if !time.Now().Before(until) {
		return conf.Errorf(conf.ErrUnauthenticated, "client certificate: has expired")
	}
	s, ok := r.Context().Value(shownKey{}).(*shown)
	if !ok {
		return conf.Errorf(conf.ErrUnauthenticated, "client certificate: cannot be checked")
	}
	by := c.authorities(r, s.conn)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known || s.by != by {
		s.known, s.by, s.err = true, by, verify(r.TLS.PeerCertificates, by)
	}
	return s.err
}

// authorities returns those whose certificates the node takes now.
func (c *clientCertificates) authorities(r *http.Request, conn net.Conn) *x509.CertPool {
	if choose := c.config.GetConfigForClient; choose != nil {
		if now, err := choose(&tls.ClientHelloInfo{ServerName: r.TLS.ServerName, Conn: conn}); err == nil && now != nil {
			return now.ClientCAs
		}
	}
	return c.config.ClientCAs
}

// verify returns ErrUnauthenticated unless a client's certificate is of one of the authorities.
func verify(certificates []*x509.Certificate, by *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, c := range certificates[1:] {
		between.AddCert(c)
	}
	_, err := certificates[0].Verify(x509.VerifyOptions{
		Roots: by, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return conf.Errorf(conf.ErrUnauthenticated, "client certificate: is of no authority that is trusted now")
	}
	return nil
}

// writeUnproven answers a request with err, and says how to prove who one is if that is what
// is missing.
func writeUnproven(w http.ResponseWriter, err error) {
	failure := httpserve.FailureOf(err, 0)
	failure.SetHeaders(w.Header())
	writeError(w, err)
}
