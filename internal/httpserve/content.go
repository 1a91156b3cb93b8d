package httpserve

import (
	"io"
	"net/http"
	"strings"
)

// Matches reports whether the peer holds the version that etag names.
func Matches(header http.Header, etag string) bool {
	for _, line := range header["If-None-Match"] {
		for tag := range strings.SplitSeq(line, ",") {
			if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == etag || tag == "*" {
				return true
			}
		}
	}
	return false
}

// NotModified tells the peer that it holds the version. The headers of the version
// are set.
func NotModified(w http.ResponseWriter, r *http.Request) Outcome {
	beginRead(w, r, 0)
	h := w.Header()
	delete(h, hContentLength)
	delete(h, hContentType)
	w.WriteHeader(http.StatusNotModified)
	return Outcome{Status: http.StatusNotModified}
}

// WriteContent sends a content whose headers are set.
func WriteContent(w http.ResponseWriter, r *http.Request, content string) Outcome {
	beginRead(w, r, int64(len(content)))
	if r.Method == http.MethodHead {
		return Outcome{Status: http.StatusOK}
	}
	_, _ = io.WriteString(w, content) // a peer that has gone is no matter of ours
	return Outcome{Status: http.StatusOK, Bytes: int64(len(content))}
}
