package namesrv

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// Whoever can reach a name server can have it refuse requests: they do not fill
// its log.
func TestRefusalsAreLoggedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := NewRegistry(WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		for range 5 {
			for range 100 {
				w := httptest.NewRecorder()
				r.ServeHTTP(w, httptest.NewRequest(http.MethodPut, "http://127.0.0.1/v1/servers/nonsense", nil))
				assert.NotEqual(t, http.StatusOK, w.Code)
			}
			time.Sleep(time.Second)
		}
		assert.Equal(t, 5, bytes.Count(log.Bytes(), []byte("request refused")))
		assert.Equal(t, 4, bytes.Count(log.Bytes(), []byte("others=99")))
	})
}

// A client that is closed cancels its requests: that is no failure of a name server.
func TestCanceledRequestsAreNotLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		n.serve(t, ns1, nil) // mute
		var log bytes.Buffer
		c := n.client(t, []string{ns1}, WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := c.Resolve(ctx)
		require.ErrorIs(t, err, context.Canceled)
		assert.Empty(t, log.String())

		_, err = c.Resolve(t.Context())
		require.ErrorIs(t, err, conf.ErrUnavailable)
		assert.Contains(t, log.String(), "name server fails", "one that does not answer is")
	})
}
