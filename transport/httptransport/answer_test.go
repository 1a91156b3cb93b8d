package httptransport

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// lister is a server that can be listed only.
type lister struct {
	diamond.Server
	entries []conf.Entry
}

func (s *lister) List(context.Context, *conf.ListRequest) (*conf.ListResponse, error) {
	return &conf.ListResponse{Entries: s.entries, Position: conf.Position{Store: conf.StoreID{1}, Revision: 1}}, nil
}

// deadlines is a ResponseWriter that keeps the write deadline of its connection.
type deadlines struct {
	*httptest.ResponseRecorder
	write time.Time
}

func (w *deadlines) SetWriteDeadline(t time.Time) error { w.write = t; return nil }

// A write deadline left behind would end a later answer on the connection,
// such as that of a long poll.
func TestNoDeadlineIsLeftBehind(t *testing.T) {
	content := strings.Repeat("x", 32<<10)
	h := NewHandler(&lister{entries: []conf.Entry{{
		Key: conf.NewKey("", "a"), Content: content, MD5: conf.MD5Hex(content), Size: int64(len(content)), Revision: 1, View: 1,
	}}})
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		r := httptest.NewRequest(method, "/v1/configs?contents=true", nil)
		r = r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, &http.Server{ReadHeaderTimeout: time.Second}))
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(w, r)
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Zero(t, w.write, method)
	}
}
