package httptransport_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/memnet"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// dial returns the client end for the server at addr.
func dial(t testing.TB, addr string, opts ...httptransport.Option) *httptransport.Transport {
	t.Helper()
	tr, err := httptransport.New(addr, opts...)
	require.NoError(t, err)
	return tr
}

// clientOf returns an http.Client whose every address is l.
func clientOf(l *memnet.Listener) (*http.Client, *http.Transport) {
	t := &http.Transport{DialContext: l.DialContext}
	return &http.Client{Transport: t}, t
}

// serve serves h on l until the end of the test.
func serve(t *testing.T, l *memnet.Listener, h http.Handler) { serveOn(t, l, &http.Server{Handler: h}) }

// serveOn is serve with a server's settings.
func serveOn(t *testing.T, l *memnet.Listener, hs *http.Server) {
	hs.ReadHeaderTimeout, hs.IdleTimeout = 10*time.Second, time.Minute
	done := make(chan error, 1)
	go func() { done <- hs.Serve(l) }()
	t.Cleanup(func() {
		_ = hs.Close()
		<-done
	})
}
