package govern

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/budget"
)

const (
	// probeGap is the time between two look-ups of request ids for one principal, once it has
	// used up probeBurst of them.
	probeGap   = 100 * time.Millisecond
	probeBurst = 20
	// maxProbers is the number of principals and addresses that are told apart.
	maxProbers = 10_000
)

// probes limits how often the request ids of refused sets are looked up, because each takes a
// transaction of the storage. Make one with [newProbes]. It is safe for concurrent use.
type probes struct {
	mu sync.Mutex
	of map[string]*rate.Limiter // by the source of the caller; guarded by mu
}

func newProbes() *probes { return &probes{of: make(map[string]*rate.Limiter)} }

// take reports whether one more may be looked up for a caller.
func (p *probes) take(caller conf.Caller) bool {
	name := budget.SourceOf(caller.Principal.Name, caller.Address)
	p.mu.Lock()
	defer p.mu.Unlock()
	limiter := p.of[name]
	if limiter == nil {
		if len(p.of) >= maxProbers {
			p.forget()
		}
		limiter = rate.NewLimiter(rate.Every(probeGap), probeBurst)
		p.of[name] = limiter
	}
	return limiter.Allow()
}

// forget drops those that have not probed lately, or all if there are none. The caller holds mu.
func (p *probes) forget() {
	for name, limiter := range p.of {
		if limiter.Tokens() >= probeBurst {
			delete(p.of, name)
		}
	}
	if len(p.of) >= maxProbers {
		clear(p.of)
	}
}
