package server

import (
	"math/rand/v2"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"github.com/linnaname/gdiamond/conf"
)

// admission admits requests at a bounded rate, and none over a connection above the
// limit. When all clients come at once, as after a restart of all servers, the
// requests above the rate are refused and repeated at different moments; otherwise
// all of them would be slow.
type admission struct {
	bucket *rate.Limiter // nil if the rate has no bound
}

// admit returns nil, or ErrOverloaded for a request that is refused. Its RetryAfter
// is random, so that refused clients do not all come back at once.
func (a *admission) admit(r *http.Request) error {
	var e *conf.Error
	switch {
	case isOverLimit(r.Context()):
		e = conf.Errorf(conf.ErrOverloaded, "too many connections from this address, or in total")
	case a.bucket != nil && !a.bucket.Allow():
		e = conf.Errorf(conf.ErrOverloaded, "more than %v requests a second", a.bucket.Limit())
	default:
		return nil
	}
	e.RetryAfter = time.Second + rand.N(2*time.Second)
	return e
}
