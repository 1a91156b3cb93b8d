package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// peerConnLife is the longest life of a peer's connection, so that each peer shows
// again and again that its certificate is still good.
const peerConnLife = 5 * time.Minute

// peerListener is a listener only for peers, with certificates at both ends.
type peerListener struct {
	listener net.Listener
	tls      *tls.Config
}

func (l *peerListener) close() {
	if l != nil && l.listener != nil {
		_ = l.listener.Close() // it may be closed already
	}
}

// open returns the host that serves nudges and queries to peers, and the port at which all
// servers of the cluster listen for peers. Errors wrap ErrInvalid.
func (l *peerListener) open(c *config, nudged, queried http.Handler) (h *host, port string, err error) {
	invalid := func(why string) (*host, string, error) {
		return nil, "", conf.Errorf(conf.ErrInvalid, "peer listener: %s", why)
	}
	switch {
	case l.listener == nil:
		return invalid("there is none")
	case c.peers == nil:
		return invalid("nobody says who the peers are (WithPeers)")
	case c.peerHTTP == nil:
		return invalid("peers have such listeners too, and nothing has a certificate to show there (WithPeerClient)")
	}
	if _, port, err = net.SplitHostPort(l.listener.Addr().String()); err != nil {
		return invalid("its address has no port")
	}
	mutual, err := mutual(l.tls)
	if err != nil {
		return nil, "", err
	}
	h = newHost(tls.NewListener(keepAliveListener{l.listener}, mutual), onlyPeers(nudged, queried),
		newConnLimit(openFiles(), DefaultAddressConnections, c.logger), c.logger)
	h.http.ErrorLog.SetOutput(&failures{logger: c.logger, message: "peer's connection refused", others: h.http.ErrorLog.Writer()})
	h.http.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, begunKey{}, time.Now())
	}
	return h, port, nil
}

// mutual returns config with TLS 1.3 and a certificate required of each client. It
// issues no tickets, with which a peer could connect without showing its certificate
// again. It returns ErrInvalid if config has no authorities, so that any certificate
// would do, or no certificate of its own.
func mutual(config *tls.Config) (*tls.Config, error) {
	invalid := func(why string) (*tls.Config, error) {
		return nil, conf.Errorf(conf.ErrInvalid, "peer listener: its TLS configuration %s", why)
	}
	switch {
	case config == nil:
		return invalid("is missing")
	case config.ClientCAs == nil:
		return invalid("does not say who issues the certificates of peers (ClientCAs)")
	case len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil:
		return invalid("has no certificate")
	}
	config = config.Clone()
	config.MinVersion, config.MaxVersion = tls.VersionTLS13, 0
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.SessionTicketsDisabled = true
	config.NextProtos = []string{"http/1.1"}
	if choose := config.GetConfigForClient; choose != nil {
		config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			chosen, err := choose(hello)
			if err != nil || chosen == nil {
				return nil, err // nil stands for config itself
			}
			return mutual(chosen)
		}
	}
	return config, nil
}

// begunKey is the context key of the time when a connection began.
type begunKey struct{}

// onlyPeers serves nudges and queries and no other path, and ends connections that are old.
func onlyPeers(nudged, queried http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if begun, ok := r.Context().Value(begunKey{}).(time.Time); ok && time.Since(begun) > peerConnLife {
			w.Header().Set("Connection", "close")
		}
		switch r.URL.Path {
		case pathNudge:
			nudged.ServeHTTP(w, r)
		case pathQuery:
			queried.ServeHTTP(w, r)
		default:
			http.NotFound(w, r)
		}
	})
}
