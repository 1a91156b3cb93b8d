package httptransport

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/transport"
)

// errorBody is the one shape of errors.
type errorBody struct {
	Error errorInfo `json:"error"`
}

type errorInfo struct {
	Code    string `json:"code"`
	Message string `json:"message,omitempty"`
	Key     string `json:"key,omitempty"`
	Current int64  `json:"current,omitempty"` // with conflict: the revision met instead
	// RetryAfterMs is the Retry-After header before it was rounded up to seconds.
	RetryAfterMs int64 `json:"retryAfterMs,omitempty"`
}

// infoOf returns what the wire says of err, and its status.
func infoOf(err error) (errorInfo, int) {
	code, status := transport.Encode(err)
	if errors.Is(err, errSlowBody) {
		status = http.StatusRequestTimeout
	}
	info := errorInfo{Code: code}
	var e *diamond.Error
	if errors.As(err, &e) {
		info.Message, info.Current, info.RetryAfterMs = clip(e.Detail), e.Current, e.RetryAfter.Milliseconds()
		if e.Key.DataID != "" && e.Key.Validate() == nil {
			info.Key = e.Key.String()
		}
	}
	return info, status
}

// writeError answers with err. A status other than 0 replaces that of the
// table, where HTTP has one that says more.
func writeError(w http.ResponseWriter, err error, status int) int {
	info, s := infoOf(err)
	if status == 0 {
		status = s
	}
	h := w.Header()
	h[hError] = []string{info.Code}
	setRetryAfter(h, info.RetryAfterMs, status)
	body, _ := json.Marshal(errorBody{info}) // strings and numbers only
	writeJSON(w, status, append(body, '\n'))
	return status
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	beginAnswer(w, int64(len(body)))
	h := w.Header()
	h[hContentType] = valueJSON
	h[hNosniff] = valueNosniff
	h[hCacheControl] = valueNoStore
	h[hContentLength] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a peer that has gone is no matter of ours
}

// setRetryAfter sets the header where a client is to come back later.
func setRetryAfter(h http.Header, ms int64, status int) {
	if ms == 0 && (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) {
		ms = 1000
	}
	if ms > 0 {
		h[hRetryAfter] = []string{strconv.FormatInt((ms+999)/1000, 10)}
	}
}

// maxErrorBody is how much of an error answer a client reads.
const maxErrorBody = 64 << 10

// remoteError returns the error that an answer of a server carries, nil where
// it has no code: it is then not of a server of ours.
func remoteError(op string, key diamond.Key, res *http.Response) *diamond.Error {
	code := res.Header.Get(hError)
	if code == "" {
		return nil
	}
	e := &diamond.Error{Op: op, Key: key, Err: transport.Decode(code), Remote: true, RetryAfter: retryAfter(res.Header)}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxErrorBody))
	if err != nil {
		return e // the code says what matters
	}
	var b errorBody
	if json.Unmarshal(body, &b) != nil {
		return e
	}
	e.Detail, e.Current = clip(b.Error.Message), b.Error.Current
	// The header is for those who do not read the body: it says something even where the server does not.
	e.RetryAfter = min(time.Duration(min(max(b.Error.RetryAfterMs, 0), maxRetryAfter.Milliseconds()))*time.Millisecond, maxRetryAfter)
	if k, err := wireKey(b.Error.Key); err == nil {
		e.Key = k
	}
	return e
}

// maxRetryAfter bounds for how long a server can send its clients away.
const maxRetryAfter = 5 * time.Minute

func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(strings.TrimSpace(h.Get(hRetryAfter)))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(min(seconds, 3600))*time.Second, maxRetryAfter)
}
