package httptransport

import (
	"io"
	"net/http"
	"strings"

	diamond "github.com/linnaname/gdiamond"
)

// fetch serves GET and HEAD of a key.
func (h *handler) fetch(w http.ResponseWriter, r *http.Request) outcome {
	req := diamond.FetchRequest{}
	var err error
	if req.Key, err = pathKey(r, pathConfigs); err == nil {
		req.Client, err = client(r)
	}
	if err == nil {
		err = query(r, func(name, value string) (err error) {
			switch name {
			case "revision":
				req.Revision, err = parseNumber(name, value)
			case "after":
				req.After, err = diamond.ParsePosition(value)
			default:
				err = unknownParam(name)
			}
			return err
		})
	}
	if err != nil {
		return fail(w, err, 0)
	}
	res, err := h.srv.Fetch(h.caller(r), &req)
	if err != nil {
		return fail(w, err, 0)
	}
	header := w.Header()
	h.setPosition(header, res.Position)
	setStale(header, res.Stale)
	if !res.Found {
		return fail(w, &diamond.Error{Key: req.Key, Err: diamond.ErrNotFound}, 0)
	}
	x := h.encoded.of(&res.Entry)
	if matches(r.Header, x.etag[0]) {
		x.set(header)
		return notModified(w, r)
	}
	held, err := h.holdAnswer(r, res.Entry.Content)
	if err != nil {
		return fail(w, err, 0)
	}
	defer held.release()
	x.set(header)
	return writeContent(w, r, res.Entry.Content)
}

// matches reports whether the peer holds what etag names.
func matches(header http.Header, etag string) bool {
	for _, line := range header["If-None-Match"] {
		for tag := range strings.SplitSeq(line, ",") {
			if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == etag || tag == "*" {
				return true
			}
		}
	}
	return false
}

func notModified(w http.ResponseWriter, r *http.Request) outcome {
	beginRead(w, r, 0)
	h := w.Header()
	delete(h, hContentLength)
	delete(h, hContentType)
	w.WriteHeader(http.StatusNotModified)
	return outcome{status: http.StatusNotModified}
}

// writeContent sends a content whose headers are set.
func writeContent(w http.ResponseWriter, r *http.Request, content string) outcome {
	beginRead(w, r, int64(len(content)))
	if r.Method == http.MethodHead {
		return outcome{status: http.StatusOK}
	}
	_, _ = io.WriteString(w, content) // a peer that has gone is no matter of ours
	return outcome{status: http.StatusOK, bytes: int64(len(content))}
}
