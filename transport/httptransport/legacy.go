package httptransport

import (
	"io"
	"net/http"
	"strconv"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/transport"
)

// The original protocol: what its clients send and expect, and nothing of
// what its server did wrong. Keys are in the default namespace.

// failText answers with an error as text.
func failText(w http.ResponseWriter, err error, status int) outcome {
	info, s := infoOf(err)
	if status == 0 {
		status = s
	}
	message := info.Message
	if message == "" {
		message = transport.Decode(info.Code).Error()
	}
	beginAnswer(w, int64(len(message)))
	header := w.Header()
	setText(header)
	setRetryAfter(header, info.RetryAfterMs, status)
	header[hContentLength] = []string{strconv.Itoa(len(message) + 1)}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, message+"\n") // a peer that has gone is no matter of ours
	return outcome{status: status, err: err}
}

func setText(h http.Header) {
	h[hContentType] = valueText
	h[hNosniff] = valueNosniff
	h[hCacheControl] = valueNoStore
}

// legacyRead serves a content as it is, never compressed: the original client
// asks for gzip and then loses the last block.
func (h *handler) legacyRead(w http.ResponseWriter, r *http.Request) outcome {
	var buf [8]param
	params, err := parseForm(buf[:0], r.URL.RawQuery)
	if err == nil {
		err = onlyKnown(params, "dataId", "group")
	}
	if err != nil {
		return failText(w, err, 0)
	}
	req := diamond.FetchRequest{Key: legacyKey(params)}
	if err := req.Key.Validate(); err != nil {
		return failText(w, err, 0)
	}
	res, err := h.srv.Fetch(h.caller(r), &req)
	if err != nil {
		return failText(w, err, 0)
	}
	if !res.Found || res.Entry.Content == "" { // its client takes an empty content for a failure
		return failText(w, diamond.Errorf(diamond.ErrNotFound, ""), 0)
	}
	x := h.encoded.of(&res.Entry)
	header := w.Header()
	if known := r.Header[hContentMD5]; len(known) == 1 && known[0] == res.Entry.MD5 || matches(r.Header, x.legacyETag[0]) {
		x.setLegacy(header)
		return notModified(w, r)
	}
	held, err := h.holdAnswer(r, res.Entry.Content)
	if err != nil {
		return failText(w, err, 0)
	}
	defer held.release()
	x.setLegacy(header)
	return writeContent(w, r, res.Entry.Content)
}

// legacyKey returns the key that params name. A missing group is the default one.
func legacyKey(params []param) diamond.Key {
	dataID, _ := find(params, "dataId")
	group, _ := find(params, "group")
	return diamond.NewKey(group, dataID)
}

// legacyPublish takes its parameters from the query, a form, or both.
func (h *handler) legacyPublish(w http.ResponseWriter, r *http.Request) outcome {
	unknown := false
	params, err := readParams(w, r, 3*h.maxContent+maxURL, func(name string) (int64, error) {
		switch name { // escaped, a byte of content takes three
		case "content":
			return h.maxContent, nil
		case "dataId", "group":
			return maxURL, nil
		}
		unknown = true
		return 0, unknownParam(name)
	})
	if err != nil {
		out := failText(w, err, 0)
		if unknown {
			// It may be the rest of a content in which an & was not escaped: who
			// sent it is told its name, the log is not.
			out.err = diamond.Errorf(diamond.ErrInvalid, "parameters: this route has not all of them")
		}
		return out
	}
	content, _ := find(params, "content")
	set := diamond.ChangeSet{Drafts: []diamond.Draft{{Key: legacyKey(params), Content: content}}}
	if _, err := h.srv.Commit(h.caller(r), &diamond.CommitRequest{Set: set}); err != nil {
		return failText(w, err, 0)
	}
	beginAnswer(w, 0)
	header := w.Header()
	setText(header)
	header[hContentLength] = valueZero
	w.WriteHeader(http.StatusOK) // exactly 200: the original client takes nothing else for done
	return outcome{status: http.StatusOK}
}
