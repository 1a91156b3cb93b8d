package httptransport_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

// An answer that has more than it says, or less, is damaged: none of it is taken.
func TestClient_AnswersOfAnotherLengthThanTheySay(t *testing.T) {
	c := protocoltest.New(t)
	c.Publish(protocoltest.Key("k"), "one")
	for name, test := range map[string]struct {
		count int
		tail  string
		good  bool
	}{
		"as it says":      {1, "", true},
		"a frame more":    {0, "", false},
		"a frame less":    {2, "", false},
		"something more":  {1, "{}\n", false},
		"a newline more":  {1, "\n", false},
		"a count below 0": {-1, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			tr := against(t, func(w http.ResponseWriter, r *http.Request) {
				rec := httptest.NewRecorder()
				c.H.ServeHTTP(rec, r)
				for name, values := range rec.Header() {
					w.Header()[name] = values
				}
				w.Header().Set("Diamond-Count", fmt.Sprint(test.count))
				w.Header().Del("Content-Length")
				w.WriteHeader(rec.Code)
				_, _ = io.WriteString(w, rec.Body.String()+test.tail)
			})
			_, err := tr.List(t.Context(), &conf.ListRequest{})
			if test.good {
				require.NoError(t, err)
				return
			}
			unasked(t, err, conf.ErrUnavailable, name)
		})
	}
}
