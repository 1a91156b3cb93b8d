package httptransport_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// F4: what native pollers send. Whatever it is, it is refused as ErrInvalid or
// ErrTooLarge, or is keys of the grammar.
func FuzzF4_PollRequest(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"keys":["a"]}`, `{"keys":["public/g/k"],"held":[{"key":"g/k","revision":3,"md5":"0cc175b9c0f1b6a831c399e269772661"}],"wait":"30s"}`,
		`{"set":"f51f51ea09645f8b1e8468a1610c989ccffe6b884b803945234966877480b4ad","position":"AQ"}`,
		`{"set":"f51f51ea09645f8b1e8468a1610c989ccffe6b884b803945234966877480b4ad","position":"","wait":"30s"}`, `[[[[[[`, `{"keys":["a","a"]}`,
		"a,G,;", "a,G,0cc175b9c0f1b6a831c399e269772661b,G,", "a,G,b,G,;c,G,", ";;;", ",,,,", "0cc175b9c0f1b6a831c399e269772661,G,0cc175b9c0f1b6a831c399e2697726610cc175b9c0f1b6a831c399e269772661,G,",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if req, err := httptransport.DecodePoll(raw); err != nil {
			if !errors.Is(err, conf.ErrInvalid) && !errors.Is(err, conf.ErrTooLarge) {
				t.Fatalf("refused as %v", err)
			}
		} else {
			for _, k := range req.Keys {
				require.NoError(t, k.Validate())
				require.Equal(t, k, k.Canonical())
			}
			for _, held := range req.Held {
				require.NoError(t, held.Key.Validate())
				require.GreaterOrEqual(t, held.Revision, int64(conf.AnyRevision))
			}
			require.GreaterOrEqual(t, req.Wait.Nanoseconds(), int64(0))
		}
		if req := httptransport.RepeatedPoll(raw); req != nil {
			decoded, err := httptransport.DecodePoll(raw)
			require.NoError(t, err)
			require.Equal(t, decoded, req)
		}
	})
}

// hostile answers everything with the same bytes.
type hostile struct {
	header http.Header
	body   []byte
}

func (h *hostile) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return &http.Response{
		StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h.header.Clone(),
		Body: io.NopCloser(bytes.NewReader(h.body)), ContentLength: int64(len(h.body)), Request: r,
	}, nil
}

// F5: what a hostile server answers to polls, watches and lists. It is
// refused, or is within the contract: keys of the grammar, contents with their
// digests, positive revisions. It never makes more memory than it has bytes.
func FuzzF5_Answer(f *testing.F) {
	const md5 = `"md5":"900150983cd24fb0d6963f7d28e17f72","size":3,"length":3`
	for _, seed := range []struct {
		body  string
		count int
	}{
		{"", 0}, {`{"key":"public/g/k","revision":0}` + "\n", 1}, {`{"key":"public/g/k","revision":1,` + md5 + "}\nabc\n", 1},
		{`{"key":"public/g/k","revision":1,"length":9223372036854775807}` + "\n", 1}, {`{"key":"k","revision":-1}` + "\n", 1},
		{`{"revision":6,"number":0,"count":1,"op":"publish","key":"public/g/k","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",` + md5 + "}\nabc\n", 1},
		{`{"revision":7,"number":0,"count":1,"op":"fork","epoch":{"generation":2,"id":"03000000000000000000000000000000"}}` + "\n", 1},
		{`{"key":"_sys/../k"}` + "\n", 1 << 30}, {`{"key":"public/g/k","revision":1,"view":-5}` + "\nx", 2},
	} {
		f.Add([]byte(seed.body), seed.count, "true", "1s")
	}
	f.Fuzz(func(t *testing.T, body []byte, count int, flag, stale string) {
		server := &hostile{body: body, header: http.Header{
			"Diamond-Position": {cannedPosition.String()}, "Diamond-Count": {strconv.Itoa(count)}, "Diamond-Resync": {flag}, "Diamond-Stale": {stale},
			"Diamond-Key": {"public/g/k"}, "Diamond-Revision": {flag}, "Diamond-Modified": {stale}, "Diamond-Md5": {conf.MD5Hex(string(body))}, "Diamond-Meta": {stale},
		}}
		tr := dial(t, "hostile.test", httptransport.WithHTTPClient(&http.Client{Transport: server}), httptransport.WithMaxAnswer(1<<20))
		ctx := t.Context()
		if res, err := tr.Poll(ctx, &conf.PollRequest{Keys: []conf.Key{cannedKey}}); refusedAs(t, err) {
			for _, s := range res.Changed {
				require.NoError(t, s.Key.Validate())
				require.GreaterOrEqual(t, s.Revision, int64(0))
				if s.Entry != nil {
					require.Equal(t, conf.MD5Hex(s.Entry.Content), s.MD5)
				}
			}
		}
		if res, err := tr.Changes(ctx, &conf.ChangesRequest{}); refusedAs(t, err) {
			for _, c := range res.Changes {
				require.Positive(t, c.Revision)
				require.True(t, c.Op == conf.OpFork || c.Key.Validate() == nil)
				require.Less(t, c.Number, c.Count)
			}
		}
		if res, err := tr.List(ctx, &conf.ListRequest{Contents: true}); refusedAs(t, err) {
			for _, e := range res.Entries {
				require.NoError(t, e.Key.Validate())
			}
		}
		_, err := tr.History(ctx, &conf.HistoryRequest{Key: cannedKey})
		refusedAs(t, err)
		if res, err := tr.Fetch(ctx, &conf.FetchRequest{Key: conf.NewKey("g", "k")}); refusedAs(t, err) {
			require.Equal(t, string(body), res.Entry.Content)
		}
	})
}

// refusedAs reports whether err is nil, and checks what it says otherwise.
func refusedAs(t *testing.T, err error) bool {
	if err == nil {
		return true
	}
	require.ErrorIs(t, err, conf.ErrUnavailable)
	assert.NotContains(t, err.Error(), "\n")
	return false
}
