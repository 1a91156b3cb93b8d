package govern

import (
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/budget"
)

// DefaultUnknownProofs is the number of requests a minute that one address may send by default
// with a proof of identity that the server does not know.
const DefaultUnknownProofs = 60

// strangers limits, for each address, the requests for which the server would read what the
// storage has although nobody vouches for them: those with a proof that the server does not
// know, and those of the anonymous about a namespace that it does not know. Requests whose
// proof is known are not counted and not limited, so an address that is shared with a hostile
// program keeps its service. Make one with [newStrangers]. It is safe for concurrent use.
type strangers struct {
	rates *sourceRates
	pause time.Duration // the least time after which to ask again
}

// newStrangers returns a limit of perMinute requests, which may come at once.
func newStrangers(perMinute int) *strangers {
	every := time.Minute / time.Duration(perMinute)
	return &strangers{rates: newSourceRates(rate.Every(every), perMinute), pause: max(every, time.Second)}
}

// admit reports whether one more such request of a peer is served. In one process a caller has
// no address, and no limit.
func (s *strangers) admit(address string) bool {
	return address == "" || s.rates.take(budget.Source(address))
}

// refusal returns the error for a request with an unknown proof that is not admitted. Its
// RetryAfter is random, so that refused clients do not all come back at once.
func (s *strangers) refusal(address string) error {
	e := conf.Errorf(conf.ErrOverloaded, "too many requests with an unknown proof of identity came from %s", budget.Source(address))
	e.RetryAfter = s.pause + rand.N(2*s.pause)
	return e
}
