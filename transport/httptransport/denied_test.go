package httptransport_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// Which keys a caller may not read crosses the wire beside the states of the others.
func TestPoll_DeniedCrossesTheWire(t *testing.T) {
	hs := &http.Client{Transport: inProcess{httptransport.NewHandler(&canned{})}}
	tr := dial(t, "127.0.0.1", httptransport.WithHTTPClient(hs))
	keys := []conf.Key{cannedKey}
	res, err := tr.Poll(t.Context(), &conf.PollRequest{Keys: keys, Set: conf.HashKeys(keys)})
	require.NoError(t, err)
	assert.Len(t, res.Changed, 3)
	assert.Equal(t, []conf.Denial{{
		Key: conf.Key{Namespace: "_sys", Group: "g", DataID: "k"}, Detail: `not yours, "said" <it>`,
	}}, res.Denied)
}

// inProcess is a round tripper that asks a handler.
type inProcess struct{ h http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	r.RemoteAddr = "192.0.2.1:1"
	w := newRecorder()
	p.h.ServeHTTP(w, r)
	return w.Result(), nil
}

// An answer that says of a denied key what it is, or of no key that it is denied, is
// not of a server of this kind.
func TestPoll_DeniedIsNoState(t *testing.T) {
	for _, line := range []string{
		`{"denied":"public/g/k","key":"public/g/k","revision":0}`, `{"denied":"k"}`, `{"denied":"public/g/k","length":1}` + "\nx", `{"detail":"why"}`,
	} {
		from := &hostile{header: http.Header{"Diamond-Position": {cannedPosition.String()}, "Diamond-Count": {"1"}}, body: []byte(line + "\n")}
		tr := dial(t, "127.0.0.1", httptransport.WithHTTPClient(&http.Client{Transport: from}))
		_, err := tr.Poll(t.Context(), &conf.PollRequest{Keys: []conf.Key{cannedKey}})
		assert.ErrorIs(t, err, conf.ErrUnavailable, line)
	}
}
