package httpserve

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport"
)

// Failure is the part of an answer that describes an error.
type Failure struct {
	Code    string
	Status  int
	Message string // may be empty
	Key     string // may be empty
	Current int64  // the present revision of the key, with a conflict
	// RetryAfterMs is the time after which to ask again, in milliseconds, or 0 if
	// the error does not say.
	RetryAfterMs int64
}

// FailureOf returns the description of err. A status other than 0 replaces that of the
// table of errors.
func FailureOf(err error, status int) Failure {
	code, ofTable := transport.Encode(err)
	f := Failure{Code: code, Status: status}
	switch {
	case status != 0:
	case errors.Is(err, errSlowBody):
		f.Status = http.StatusRequestTimeout
	default:
		f.Status = ofTable
	}
	var e *conf.Error
	if errors.As(err, &e) {
		f.Message, f.Current, f.RetryAfterMs = Clip(e.Detail), e.Current, e.RetryAfter.Milliseconds()
		if e.Key.DataID != "" && e.Key.Validate() == nil {
			f.Key = e.Key.String()
		}
	}
	return f
}

// SetHeaders sets the headers that belong to the status: when the client should ask again,
// and how it may prove who it is.
func (f *Failure) SetHeaders(h http.Header) {
	if f.Status == http.StatusUnauthorized {
		h[hAuthenticate] = valueSchemes
	}
	ms := f.RetryAfterMs
	if ms == 0 && (f.Status == http.StatusTooManyRequests || f.Status == http.StatusServiceUnavailable) {
		ms = 1000
	}
	if ms > 0 {
		h[hRetryAfter] = []string{strconv.FormatInt((ms+999)/1000, 10)}
	}
}
