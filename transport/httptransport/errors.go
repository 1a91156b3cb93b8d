package httptransport

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
	"github.com/linnaname/gdiamond/transport"
)

// errorBody is the form of all errors.
type errorBody struct {
	Error errorInfo `json:"error"`
}

type errorInfo struct {
	Code    string `json:"code"`
	Message string `json:"message,omitempty"`
	Key     string `json:"key,omitempty"`
	Current int64  `json:"current,omitempty"` // of a conflict: the present revision
	// RetryAfterMs is the Retry-After header before it was rounded up to seconds.
	RetryAfterMs int64 `json:"retryAfterMs,omitempty"`
}

// fail answers with err in the native form. It is a [httpserve.Fail].
func fail(w http.ResponseWriter, err error, status int) httpserve.Outcome {
	f := httpserve.FailureOf(err, status)
	h := w.Header()
	h[hError] = []string{f.Code}
	f.SetHeaders(h)
	// Strings and numbers only: it can be encoded.
	body, _ := json.Marshal(errorBody{errorInfo{f.Code, f.Message, f.Key, f.Current, f.RetryAfterMs}})
	writeJSON(w, f.Status, append(body, '\n'))
	return httpserve.Outcome{Status: f.Status, Err: err}
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	httpserve.BeginAnswer(w, int64(len(body)))
	h := w.Header()
	httpserve.SetType(h, valueJSON)
	h[hContentLength] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the peer may have gone
}

// maxErrorBody is the maximum number of bytes that a client reads of an error answer.
const maxErrorBody = 64 << 10

// remoteError returns the error in an answer, or nil if the answer has no code: it is then
// no error, or not an answer of a diamond server.
func remoteError(op string, key conf.Key, res *http.Response) *conf.Error {
	code := res.Header.Get(hError)
	if code == "" {
		return nil
	}
	e := &conf.Error{Op: op, Key: key, Err: transport.Decode(code), Remote: true, RetryAfter: retryAfter(res.Header)}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxErrorBody))
	if err != nil {
		return e // the code is enough
	}
	var b errorBody
	if json.Unmarshal(body, &b) != nil {
		return e
	}
	e.Detail, e.Current = httpserve.Clip(b.Error.Message), b.Error.Current
	// The header is for clients that do not read the body. It may be set even if the error has no such time.
	e.RetryAfter = min(time.Duration(min(max(b.Error.RetryAfterMs, 0), maxRetryAfter.Milliseconds()))*time.Millisecond, maxRetryAfter)
	if k, err := wireKey(b.Error.Key); err == nil {
		e.Key = k
	}
	return e
}

// maxRetryAfter is the longest Retry-After that a client obeys.
const maxRetryAfter = 5 * time.Minute

func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(strings.TrimSpace(h.Get(hRetryAfter)))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(min(seconds, 3600))*time.Second, maxRetryAfter)
}
