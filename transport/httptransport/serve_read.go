package httptransport

import (
	"net/http"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// fetch serves GET and HEAD of a key.
func (h *handler) fetch(w http.ResponseWriter, r *http.Request) httpserve.Outcome {
	req := conf.FetchRequest{}
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
				req.After, err = conf.ParsePosition(value)
			default:
				err = httpserve.UnknownParam(name)
			}
			return err
		})
	}
	if err != nil {
		return fail(w, err, 0)
	}
	res, err := h.srv.Fetch(httpserve.Caller(r), &req)
	if err != nil {
		return fail(w, err, 0)
	}
	header := w.Header()
	h.setPosition(header, res.Position)
	setStale(header, res.Stale)
	if !res.Found {
		return fail(w, &conf.Error{Key: req.Key, Err: conf.ErrNotFound}, 0)
	}
	x := h.encoded.Of(&res.Entry)
	if httpserve.Matches(r.Header, x.etag[0]) {
		x.set(header)
		return httpserve.NotModified(w, r)
	}
	return httpserve.SendContent(w, r, h.memory, res.Entry.Content, x.set, fail)
}
