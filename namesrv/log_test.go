package namesrv

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
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
