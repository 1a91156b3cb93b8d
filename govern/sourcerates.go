package govern

import (
	"sync"

	"golang.org/x/time/rate"
)

// maxSources is the number of sources that one sourceRates tells apart at most.
const maxSources = 10_000

// sourceRates limits how often something is done for each of many sources; see
// [budget.Source] and [budget.SourceOf]. Its memory is bounded: of more than maxSources
// sources it forgets those that were seen the longest ago, which then have their whole burst
// again. So its user also bounds what is done for all sources together. Make one with
// [newSourceRates]. It is safe for concurrent use.
type sourceRates struct {
	limit rate.Limit
	burst int

	mu sync.Mutex
	// recent has the sources that were seen last. When it has half of maxSources, it becomes
	// before, and a new one is begun.
	recent, before map[string]*rate.Limiter // guarded by mu
}

func newSourceRates(limit rate.Limit, burst int) *sourceRates {
	return &sourceRates{limit: limit, burst: burst, recent: make(map[string]*rate.Limiter)}
}

// take reports whether it may be done once more for a source.
func (s *sourceRates) take(source string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	limiter := s.recent[source]
	if limiter == nil {
		if limiter = s.before[source]; limiter == nil {
			limiter = rate.NewLimiter(s.limit, s.burst)
		}
		if len(s.recent) >= maxSources/2 {
			s.before, s.recent = s.recent, make(map[string]*rate.Limiter)
		}
		s.recent[source] = limiter
	}
	return limiter.Allow()
}
