package httptransport_test

import (
	"bufio"
	"bytes"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

var update = flag.Bool("update", false, "rewrite testdata/golden")

// The wire, byte for byte. A change of these files is a change of the
// protocol: programs of another version are on the other end.

func TestGolden_Answers(t *testing.T) {
	h := httptransport.NewHandler(&canned{})
	refused := httptransport.NewHandler(&canned{err: &conf.Error{
		Err: conf.ErrConflict, Key: cannedKey, Detail: "revision is 8, not 7", Current: 8,
	}})
	shed := httptransport.NewHandler(&canned{err: &conf.Error{Err: conf.ErrOverloaded, Detail: "1024 commits are in flight", RetryAfter: 1500e6}})
	const form = "Content-Type: application/x-www-form-urlencoded\r\n"
	for name, r := range map[string]struct {
		h   http.Handler
		raw string
	}{
		"fetch":          {h, "GET /v1/configs/public/g/k.yaml HTTP/1.1\r\n\r\n"},
		"fetch-absent":   {h, "GET /v1/configs/public/g/absent HTTP/1.1\r\n\r\n"},
		"fetch-same":     {h, "GET /v1/configs/public/g/k.yaml HTTP/1.1\r\nIf-None-Match: " + `"6-` + cannedEntry.MD5 + `"` + "\r\n\r\n"},
		"fetch-bad":      {h, "GET /v1/configs/public/g/a%20b?x=1 HTTP/1.1\r\n\r\n"},
		"publish":        {h, "PUT /v1/configs/public/g/k.yaml?ifRevision=5 HTTP/1.1\r\nContent-Length: 5\r\n\r\na: 1\n"},
		"conflict":       {refused, "PUT /v1/configs/public/g/k.yaml?ifRevision=7 HTTP/1.1\r\nContent-Length: 5\r\n\r\na: 1\n"},
		"shed":           {shed, "DELETE /v1/configs/public/g/k.yaml HTTP/1.1\r\n\r\n"},
		"list":           {h, "GET /v1/configs?contents=true HTTP/1.1\r\n\r\n"},
		"changes":        {h, "GET /v1/changes?contents=true HTTP/1.1\r\n\r\n"},
		"history":        {h, "GET /v1/history/public/g/k.yaml HTTP/1.1\r\n\r\n"},
		"poll":           {h, "POST /v1/poll HTTP/1.1\r\nContent-Length: 19\r\n\r\n" + `{"keys":["g/gone"]}`},
		"position":       {h, "GET /v1/position HTTP/1.1\r\n\r\n"},
		"no-route":       {h, "GET /v1/typo HTTP/1.1\r\n\r\n"},
		"wrong-method":   {h, "PATCH /v1/configs/public/g/k.yaml HTTP/1.1\r\n\r\n"},
		"legacy-read":    {h, "GET /diamond-server/config?dataId=k.yaml&group=g HTTP/1.1\r\nAccept-Encoding: gzip,deflate\r\n\r\n"},
		"legacy-absent":  {h, "GET /diamond-server/config?dataId=absent&group=g HTTP/1.1\r\n\r\n"},
		"legacy-bad":     {h, "GET /diamond-server/config?group=a/b HTTP/1.1\r\n\r\n"},
		"legacy-publish": {h, "POST /diamond-server/publishConfig HTTP/1.1\r\n" + form + "Content-Length: 34\r\n\r\ncontent=a%3A+1%0A&dataId=k&group=g"},
		"legacy-poll":    {h, "POST /diamond-server/getProbeModify HTTP/1.1\r\n" + form + "Content-Length: 34\r\n\r\nProbe-Modify-Request=gone%2Cg%2C%3B"[:]},
	} {
		t.Run(name, func(t *testing.T) {
			raw := strings.Replace(r.raw, "HTTP/1.1\r\n", "HTTP/1.1\r\nHost: 127.0.0.1:1210\r\n", 1)
			if name == "legacy-poll" {
				raw = strings.Replace(raw, "Content-Length: 34", "Content-Length: 35", 1)
			}
			req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
			require.NoError(t, err)
			w := httptest.NewRecorder()
			r.h.ServeHTTP(w, req)
			res := w.Result()
			var answer bytes.Buffer
			require.NoError(t, res.Write(&answer))
			compare(t, "answer-"+name, raw+"\n----\n"+answer.String())
		})
	}
}

// capture keeps the request as it went over the wire.
type capture struct{ raw []byte }

func (c *capture) RoundTrip(r *http.Request) (*http.Response, error) {
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		return nil, err
	}
	c.raw = b.Bytes()
	return nil, io.EOF
}

func TestGolden_Requests(t *testing.T) {
	wire := &capture{}
	tr := dial(t, "config.test:1210", httptransport.WithHTTPClient(&http.Client{Transport: wire}))
	ctx := t.Context()
	info := conf.ClientInfo{ID: "c1", App: "shop", Version: "1.2", Labels: map[string]string{"zone": "a b"}}
	keys := []conf.Key{cannedKey, conf.NewKey("g", "gone")}
	for name, ask := range map[string]func() error{
		"fetch": func() error {
			_, err := tr.Fetch(ctx, &conf.FetchRequest{Client: info, Key: cannedKey, After: cannedPosition})
			return err
		},
		"version": func() error {
			_, err := tr.Fetch(ctx, &conf.FetchRequest{Key: cannedKey, Revision: 3})
			return err
		},
		"poll": func() error {
			_, err := tr.Poll(ctx, &conf.PollRequest{
				Client: info, Set: conf.HashKeys(keys), Keys: keys, Position: cannedPosition,
				Held: []conf.Held{{Key: keys[0], Revision: 5, MD5: cannedEntry.MD5}}, Wait: 25e9,
			})
			return err
		},
		"commit": func() error {
			_, err := tr.Commit(ctx, &conf.CommitRequest{Client: info, Set: conf.ChangeSet{
				Drafts: []conf.Draft{
					{Key: cannedKey, Content: "a: 1\n", Type: "yaml", Meta: map[string]string{"o": "<é>"}, IfRevision: conf.Revision(6)},
					{Key: conf.NewKey("g", "e"), AllowEmpty: true, Reset: true},
				},
				Deletes: []conf.Delete{{Key: conf.NewKey("g", "gone")}}, Checks: []conf.Check{{Key: conf.NewKey("g", "c"), Revision: 0}},
				RequestID: "r-1", Comment: "why & how",
			}})
			return err
		},
		"changes": func() error {
			_, err := tr.Changes(ctx, &conf.ChangesRequest{After: cannedPosition, Namespace: "public", Group: "g", Prefix: "k", Contents: true, Wait: 25e9})
			return err
		},
		"list": func() error {
			_, err := tr.List(ctx, &conf.ListRequest{Namespace: "n", Group: "g", Prefix: "k", After: cannedKey, Limit: 7, Contents: true})
			return err
		},
		"history": func() error {
			_, err := tr.History(ctx, &conf.HistoryRequest{Key: cannedKey, Before: 9, Limit: 3})
			return err
		},
		"report": func() error {
			_, err := tr.Report(ctx, &conf.ReportRequest{Client: info, Reports: []conf.Report{
				{Key: cannedKey, Revision: 6, Applied: true}, {Key: keys[1], Revision: 5, Reason: "panic"},
			}})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Error(t, ask())
			compare(t, "request-"+name, string(wire.raw))
		})
	}
}

// compare compares text with the golden file of that name.
func compare(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name+".txt")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), text)
}
