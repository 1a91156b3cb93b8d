package httptransport_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

// compressing is a proxy that compresses although it was told not to.
type compressing struct{ http.Handler }

func (c compressing) RoundTrip(r *http.Request) (*http.Response, error) {
	w := newRecorder()
	c.ServeHTTP(w, r)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(w.Body.Bytes())
	_ = z.Close()
	res := w.Result()
	res.Body, res.ContentLength = io.NopCloser(&packed), int64(packed.Len())
	res.Header.Set("Content-Encoding", "gzip")
	res.Header.Set("Content-Length", strconv.Itoa(packed.Len()))
	return res, nil
}

// An answer that something has changed on its way is never taken, and the error says
// what shows that.
func TestAlteredAnswersNameTheHeader(t *testing.T) {
	c := protocoltest.New(t)
	c.Publish(protocoltest.Key("k"), "content")
	tr := dial(t, "127.0.0.1", httptransport.WithHTTPClient(&http.Client{Transport: compressing{c.H}}))
	keys := []conf.Key{protocoltest.Key("k")}
	for name, ask := range map[string]func() error{
		"fetch": func() error { _, err := tr.Fetch(t.Context(), &conf.FetchRequest{Key: keys[0]}); return err },
		"poll": func() error {
			_, err := tr.Poll(t.Context(), &conf.PollRequest{Keys: keys, Set: conf.HashKeys(keys)})
			return err
		},
		"list": func() error { _, err := tr.List(t.Context(), &conf.ListRequest{Contents: true}); return err },
	} {
		err := ask()
		require.ErrorIs(t, err, conf.ErrUnavailable, name)
		assert.ErrorContains(t, err, "something between client and server has changed the answer", name)
		assert.ErrorContains(t, err, "Content-Encoding: gzip", name)
	}
	_, err := tr.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Deletes: []conf.Delete{{Key: keys[0]}}}})
	require.NoError(t, err, "all that matters of this answer is in its headers")
}
