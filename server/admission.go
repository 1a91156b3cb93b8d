package server

import (
	"math/rand/v2"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	diamond "github.com/linnaname/gdiamond"
)

// admission lets requests in at a bounded rate, and none that come over a
// connection for which there was no room. When all clients come at once, as after
// a restart of all servers, those above it are told to come back, each at another
// moment, instead of all being slow.
type admission struct {
	bucket *rate.Limiter // nil: any rate
}

// admit lets r in, or returns ErrOverloaded with when to come back, which is at
// random so that not all do at once.
func (a *admission) admit(r *http.Request) error {
	var e *diamond.Error
	switch {
	case isOverLimit(r.Context()):
		e = diamond.Errorf(diamond.ErrOverloaded, "this address, or all, have as many connections as they may")
	case a.bucket != nil && !a.bucket.Allow():
		e = diamond.Errorf(diamond.ErrOverloaded, "more than %v requests a second", a.bucket.Limit())
	default:
		return nil
	}
	e.RetryAfter = time.Second + rand.N(2*time.Second)
	return e
}
