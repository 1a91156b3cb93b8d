package httptransport

import (
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/budget"
)

// The bodies of requests and the answers have one budget: the memory that bodies
// take from when they begin to arrive until they are done with, and answers until
// their peers have read them. What one address can make a server hold is so bounded,
// and always leaves something for the others.
const (
	// DefaultMemoryBudget is for all addresses together, in bytes: eight of the largest
	// change sets. [WithMemoryBudget] says otherwise.
	DefaultMemoryBudget = 8 * DefaultAddressMemory
	// DefaultAddressMemory is for one address: the largest change set.
	DefaultAddressMemory = diamond.MaxSetBytes + setLines
	// smallBody needs nothing of the budget: it is little beside what the connection
	// itself takes. So requests that are small come in whatever others send.
	smallBody = 16 << 10
	// shareStep is by how much a request's share of the budget grows at a time.
	shareStep = 16 << 10
)

// How many requests may be under way unless [WithRequestLimits] says otherwise, those
// that wait included: one address has room for thousands of clients, and twenty such
// addresses for twice as many polls as a server lets wait unless told otherwise.
const (
	DefaultRequests        = 20 * DefaultAddressRequests // of all addresses together
	DefaultAddressRequests = 10_000                      // of one
)

// What is made of one element of a list in a body, beside its bytes, until the
// request has been answered or waits: the key itself, and copies of it in order to
// check, sort and hash it.
const (
	keyMemory    = 256
	heldMemory   = 256
	reportMemory = 192
	changeMemory = 256
)

// parkedMemory is what a server keeps of one element of held while a poll waits: its
// place in the set, its revision and its digest.
const parkedMemory = 32

// share is what the body of one request holds of the budget.
type share struct {
	budget *budget.Budget // nil: there is none
	source string
	need   int64 // bytes
	held   int64 // bytes of the budget; need is not above it by more than smallBody
}

// hold has s hold n bytes more, or fails with ErrOverloaded.
func (s *share) hold(n int64) error {
	s.need += n
	lacks := s.need - smallBody - s.held
	if lacks <= 0 || s.budget == nil {
		return nil
	}
	step := (lacks + shareStep - 1) / shareStep * shareStep
	if !s.budget.Take(s.source, step) {
		e := diamond.Errorf(diamond.ErrOverloaded, "the bodies of requests from %s, or of all, take more memory than they may", s.source)
		e.RetryAfter = time.Second
		return e
	}
	s.held += step
	return nil
}

// release gives back what s holds, but for what keep bytes take.
func (s *share) release(keep int64) {
	s.need = keep
	rest := max(s.held-max(keep-smallBody, 0), 0)
	if rest > 0 {
		s.held -= rest
		s.budget.Give(s.source, rest)
	}
}
