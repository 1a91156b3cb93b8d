package httptransport_test

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/certtest"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

// A server with a certificate of an authority of its own, which wants one of its
// clients too, over HTTP/1.1 and HTTP/2: who has the one and knows the other is
// served, and nobody else is.
func TestClient_TLS(t *testing.T) {
	authority, stranger := certtest.NewAuthority(t), certtest.NewAuthority(t)
	known := []tls.Certificate{authority.TLS(t, "client")}
	for protocol, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(protocol, func(t *testing.T) {
			c := protocoltest.New(t)
			hs := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				assert.Equal(t, protocol, r.Proto)
				c.H.ServeHTTP(w, r)
			}))
			hs.EnableHTTP2 = http2
			hs.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes
			hs.TLS = &tls.Config{
				Certificates: []tls.Certificate{authority.TLS(t, "127.0.0.1")},
				ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool(),
			}
			hs.StartTLS()
			t.Cleanup(hs.Close)
			dialTLS := func(config *tls.Config) *httptransport.Transport {
				tr := dial(t, hs.URL, patient, httptransport.WithTLS(config))
				t.Cleanup(tr.Close)
				return tr
			}

			tr := dialTLS(&tls.Config{RootCAs: authority.Pool(), Certificates: known})
			at, err := commitKey(tr)
			require.NoError(t, err)
			res, err := fetchKey(tr)
			require.NoError(t, err)
			assert.Equal(t, "x", res.Entry.Content)

			for who, config := range map[string]*tls.Config{
				"who does not know the authority": {Certificates: known},
				"who has no certificate":          {RootCAs: authority.Pool()},
				"who has one of a stranger's":     {RootCAs: authority.Pool(), Certificates: []tls.Certificate{stranger.TLS(t, "client")}},
			} {
				_, err := fetchKey(dialTLS(config))
				unasked(t, err, conf.ErrUnavailable, who)
				_, err = commitKey(dialTLS(config))
				assert.Error(t, err, who)
				if config.RootCAs == nil { // it ends the handshake; otherwise the server does, when all may have been sent
					unasked(t, err, conf.ErrUnavailable, who)
				}
			}
			assert.Equal(t, at.Position, c.Srv.Status().Position)
		})
	}
}

// The transports that a balancer dials share the configuration that its user has,
// which none of them may change.
func TestClient_TLSConfigurationIsShared(t *testing.T) {
	authority := certtest.NewAuthority(t)
	c := protocoltest.New(t)
	hs := httptest.NewUnstartedServer(c.H)
	hs.EnableHTTP2 = true
	hs.TLS = &tls.Config{Certificates: []tls.Certificate{authority.TLS(t, "127.0.0.1")}}
	hs.StartTLS()
	t.Cleanup(hs.Close)
	shared := &tls.Config{RootCAs: authority.Pool()}
	var asking sync.WaitGroup
	for range 4 {
		tr := dial(t, hs.URL, patient, httptransport.WithTLS(shared))
		t.Cleanup(tr.Close)
		asking.Go(func() {
			_, err := fetchKey(tr)
			assert.NoError(t, err)
		})
	}
	asking.Wait()
	assert.Empty(t, shared.NextProtos)
}
