package namesrv

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/linnaname/gdiamond/conf"
)

// statuses maps the errors of a registry to HTTP statuses.
var statuses = []struct {
	err    error
	status int
	code   string
}{
	{conf.ErrInvalid, http.StatusBadRequest, "invalid"},
	{conf.ErrDenied, http.StatusForbidden, "denied"},
	{conf.ErrNotFound, http.StatusNotFound, "not_found"},
	{conf.ErrTooLarge, http.StatusRequestEntityTooLarge, "too_large"},
	{conf.ErrOverloaded, http.StatusTooManyRequests, "overloaded"},
	{conf.ErrUnavailable, http.StatusServiceUnavailable, "unavailable"},
}

func writeError(w http.ResponseWriter, err error) {
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			var e *conf.Error
			errors.As(err, &e)
			switch s.status {
			case http.StatusTooManyRequests:
				w.Header().Set("Retry-After", "10")
			case http.StatusServiceUnavailable:
				w.Header().Set("Retry-After", "1")
			}
			writeErrorStatus(w, s.status, s.code, e.Detail)
			return
		}
	}
	writeErrorStatus(w, http.StatusInternalServerError, "internal", "")
}

func writeErrorStatus(w http.ResponseWriter, status int, code, message string) {
	var a errorAnswer
	a.Error.Code, a.Error.Message = code, message
	writeJSON(w, status, a)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, _ := json.Marshal(v) // of strings and numbers, which cannot fail
	writeBody(w, status, "application/json", append(body, '\n'))
}

func writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a broken connection does not matter here
}
