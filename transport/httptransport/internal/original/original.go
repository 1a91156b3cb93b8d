package original

import (
	"context"
	"io"
	"net/http"
	"strconv"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/budget"
	"github.com/linnaname/gdiamond/internal/httpserve"
	"github.com/linnaname/gdiamond/transport"
)

// Paths, which are the names of the routes too.
const (
	pathRead    = "/diamond-server/config"
	pathPublish = "/diamond-server/publishConfig"
	pathPoll    = "/diamond-server/getProbeModify"
)

// Headers, in canonical form, so that the header map can be indexed directly.
const (
	hCacheControl  = "Cache-Control"
	hContentLength = "Content-Length"
	hContentMD5    = "Content-Md5"
	hETag          = "Etag"
	hLastModified  = "Last-Modified"
	hPollTimeout   = "Long-Polling-Timeout" // milliseconds
)

// Header values that never change. They are made once, because net/http does not alter
// them.
var (
	valueNoStore = []string{"no-store"}
	valueText    = []string{"text/plain; charset=utf-8"}
	valueZero    = []string{"0"}
)

// Server answers the requests. A [diamond.Server] is one.
type Server interface {
	Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error)
	Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error)
}

// Routes returns the routes of the protocol, served by srv. MaxContent is the maximum size
// of one content in bytes. Answers take their memory from memory.
func Routes(srv Server, maxContent int64, memory *budget.Budget) []*httpserve.Route {
	h := &handler{srv: srv, maxContent: maxContent, memory: memory, headers: httpserve.NewEntryCache(newHeaders)}
	return []*httpserve.Route{
		{Name: pathRead, Right: httpserve.RightByServer, Path: pathRead, Get: h.read, Fail: fail},
		{Name: pathPublish, Right: httpserve.RightByServer, Path: pathPublish, Post: h.publish, Fail: fail},
		{Name: pathPoll, Right: httpserve.RightByServer, Path: pathPoll, Poll: &httpserve.Poll{Read: readPoll, Answer: sendPoll}, Fail: fail},
	}
}

// handler serves reads and publishes.
type handler struct {
	srv        Server
	maxContent int64
	memory     *budget.Budget // of bytes of answers
	headers    *httpserve.EntryCache[headers]
}

// fail answers with an error as text. It is a [httpserve.Fail].
func fail(w http.ResponseWriter, err error, status int) httpserve.Outcome {
	f := httpserve.FailureOf(err, status)
	message := f.Message
	if message == "" {
		message = transport.Decode(f.Code).Error()
	}
	httpserve.BeginAnswer(w, int64(len(message)))
	header := w.Header()
	httpserve.SetType(header, valueText)
	f.SetHeaders(header)
	header[hContentLength] = []string{strconv.Itoa(len(message) + 1)}
	w.WriteHeader(f.Status)
	_, _ = io.WriteString(w, message+"\n") // the peer may have gone
	return httpserve.Outcome{Status: f.Status, Err: err}
}

// headers are the headers of the answers with one version of one key.
type headers struct{ contentMD5, lastModified, etag, contentLength []string }

func newHeaders(e *conf.Entry) *headers {
	return &headers{
		contentMD5:    []string{e.MD5},
		lastModified:  []string{e.Modified.UTC().Format(http.TimeFormat)},
		etag:          []string{`"` + e.MD5 + `"`},
		contentLength: []string{strconv.Itoa(len(e.Content))},
	}
}

func (x *headers) set(h http.Header) {
	httpserve.SetType(h, valueText)
	h[hContentMD5] = x.contentMD5
	h[hLastModified] = x.lastModified
	h[hETag] = x.etag
	h[hContentLength] = x.contentLength
}

// read serves a content as it is, never compressed: the original client asks for
// gzip and then loses the last block.
func (h *handler) read(w http.ResponseWriter, r *http.Request) httpserve.Outcome {
	var buf [8]httpserve.Param
	params, err := httpserve.ParseParams(buf[:0], r.URL.RawQuery)
	if err == nil {
		err = params.Only("dataId", "group")
	}
	if err != nil {
		return fail(w, err, 0)
	}
	req := conf.FetchRequest{Key: keyOf(params)}
	if err := req.Key.Validate(); err != nil {
		return fail(w, err, 0)
	}
	res, err := h.srv.Fetch(httpserve.Caller(r), &req)
	if err != nil {
		return fail(w, err, 0)
	}
	if !res.Found || res.Entry.Content == "" { // the original client treats an empty content as a failure
		return fail(w, conf.Errorf(conf.ErrNotFound, ""), 0)
	}
	x := h.headers.Of(&res.Entry)
	header := w.Header()
	if known := r.Header[hContentMD5]; len(known) == 1 && known[0] == res.Entry.MD5 || httpserve.Matches(r.Header, x.etag[0]) {
		x.set(header)
		return httpserve.NotModified(w, r)
	}
	return httpserve.SendContent(w, r, h.memory, res.Entry.Content, x.set, fail)
}

// keyOf returns the key that params name. A missing group is the default one.
func keyOf(params httpserve.Params) conf.Key {
	dataID, _ := params.Find("dataId")
	group, _ := params.Find("group")
	return conf.NewKey(group, dataID)
}

// publish takes its parameters from the query, a form, or both.
func (h *handler) publish(w http.ResponseWriter, r *http.Request) httpserve.Outcome {
	unknown := false
	params, err := httpserve.ReadParams(w, r, 3*h.maxContent+httpserve.MaxURL, func(name string) (int64, error) {
		switch name { // escaped, a byte of content takes three
		case "content":
			return h.maxContent, nil
		case "dataId", "group":
			return httpserve.MaxURL, nil
		}
		unknown = true
		return 0, httpserve.UnknownParam(name)
	})
	if err != nil {
		out := fail(w, err, 0)
		if unknown {
			// It may be the rest of a content in which an & was not escaped. So the answer
			// has the name, but the log does not.
			out.Err = conf.Errorf(conf.ErrInvalid, "parameters: this route has not all of them")
		}
		return out
	}
	content, _ := params.Find("content")
	set := conf.ChangeSet{Drafts: []conf.Draft{{Key: keyOf(params), Content: content}}}
	if _, err := h.srv.Commit(httpserve.Caller(r), &conf.CommitRequest{Set: set}); err != nil {
		return fail(w, err, 0)
	}
	httpserve.BeginAnswer(w, 0)
	header := w.Header()
	httpserve.SetType(header, valueText)
	header[hContentLength] = valueZero
	w.WriteHeader(http.StatusOK) // exactly 200: for the original client any other status is a failure
	return httpserve.Outcome{Status: http.StatusOK}
}
