package httpserve

import (
	"net/http"
	"time"
)

// Observation describes one request and its answer.
type Observation struct {
	Route    string // the Name of its Route, or "other" if it has none
	Method   string // a method that HTTP defines, or "other"
	Status   int
	Bytes    int64 // of body sent
	Duration time.Duration
	Poll     bool // it may have waited, so Duration does not show the speed of the server
	// Notified is the time from when the server learned of a change until the answer
	// to a waiting poll was written, or 0 if no change ended a wait.
	Notified time.Duration
}

func observation(r *http.Request, out *Outcome, took time.Duration) Observation {
	o := Observation{
		Route: out.route, Method: r.Method, Status: out.Status, Bytes: out.Bytes,
		Duration: took, Poll: out.Poll,
	}
	if !knownMethod(r.Method) {
		o.Method = "other" // peers would choose the values of a label, without end
	}
	if !out.notified.IsZero() {
		o.Notified = time.Since(out.notified)
	}
	return o
}

func knownMethod(m string) bool {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT":
		return true
	}
	return false
}
