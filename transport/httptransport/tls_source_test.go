package httptransport_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/certtest"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

// A TLS configuration that is replaced is used for the next request, over a new connection,
// and one that stays keeps its connection.
func TestClient_TLSSource(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			authority, stranger := certtest.NewAuthority(t), certtest.NewAuthority(t)
			c := protocoltest.New(t)
			var shown atomic.Pointer[string]
			hs := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				at := r.RemoteAddr + " " + r.TLS.PeerCertificates[0].Subject.CommonName
				shown.Store(&at)
				c.H.ServeHTTP(w, r)
			}))
			hs.EnableHTTP2 = http2
			hs.TLS = &tls.Config{
				Certificates: []tls.Certificate{authority.TLS(t, "127.0.0.1")},
				ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool(),
			}
			hs.StartTLS()
			t.Cleanup(hs.Close)
			var now atomic.Pointer[tls.Config]
			with := func(by *certtest.Authority, name string) {
				now.Store(&tls.Config{RootCAs: by.Pool(), Certificates: []tls.Certificate{authority.TLS(t, name)}})
			}
			with(authority, "first")
			tr := dial(t, hs.URL, patient, httptransport.WithTLSSource(now.Load))
			t.Cleanup(tr.Close)
			_, err := commitKey(tr)
			require.NoError(t, err)
			first := *shown.Load()
			assert.Contains(t, first, " first")
			_, err = fetchKey(tr)
			require.NoError(t, err)
			assert.Equal(t, first, *shown.Load(), "the same connection")

			with(authority, "second")
			_, err = fetchKey(tr)
			require.NoError(t, err)
			assert.Contains(t, *shown.Load(), " second")
			with(stranger, "third")
			_, err = fetchKey(tr)
			assert.ErrorIs(t, err, conf.ErrUnavailable, "the authority of before is not trusted any more")
			with(authority, "fourth")
			_, err = fetchKey(tr)
			require.NoError(t, err)
			assert.Contains(t, *shown.Load(), " fourth")
		})
	}
	source := func() *tls.Config { return nil }
	for _, other := range []httptransport.Option{httptransport.WithTLS(&tls.Config{}), httptransport.WithHTTPClient(&http.Client{})} {
		_, err := httptransport.New("https://h", httptransport.WithTLSSource(source), other)
		assert.ErrorIs(t, err, conf.ErrInvalid)
	}
}
