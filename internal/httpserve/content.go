package httpserve

import (
	"io"
	"net/http"
	"strings"

	"github.com/linnaname/gdiamond/internal/budget"
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

// SendContent sends a content with the headers that setHeaders sets. The content takes
// memory until the peer has read it. If there is too little memory, SendContent answers
// by fail.
func SendContent(w http.ResponseWriter, r *http.Request, memory *budget.Budget, content string, setHeaders func(http.Header), fail Fail) Outcome {
	held, err := HoldAnswer(memory, r, content)
	if err != nil {
		return fail(w, err, 0)
	}
	defer held.Release()
	setHeaders(w.Header())
	return WriteContent(w, r, content)
}

// WriteContent writes a content whose headers are set and which takes no memory.
func WriteContent(w http.ResponseWriter, r *http.Request, content string) Outcome {
	beginRead(w, r, int64(len(content)))
	if r.Method == http.MethodHead {
		return Outcome{Status: http.StatusOK}
	}
	_, _ = io.WriteString(w, content) // the peer may have gone
	return Outcome{Status: http.StatusOK, Bytes: int64(len(content))}
}
