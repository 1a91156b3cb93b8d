package httpserve

import (
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/budget"
)

// The bodies of requests and the answers share one budget: bodies take memory from
// when they begin to arrive until the request is done, answers until their peers
// have read them. This bounds what one address can make a server hold, and always
// leaves something for the others.
const (
	// smallBody is the size up to which a body needs nothing of the budget: it is
	// little beside what the connection itself takes. So small requests are served
	// whatever others send.
	smallBody = 16 << 10
	// bodyStep is by how much a body's part of the budget grows at a time.
	bodyStep = 16 << 10
)

// HeldMemory is how many bytes are held for one element of [conf.PollRequest.Held]
// beside the body, until the request has been answered or waits: for the key, and
// for the copies that are made to check, sort and hash it.
const HeldMemory = 256

// bodyMemory is what the body of one request holds of the budget.
type bodyMemory struct {
	budget *budget.Budget // nil if the request has no body
	source string
	need   int64 // bytes
	held   int64 // bytes of the budget; need is at most smallBody above it
}

// hold has m hold n bytes more, or fails with ErrOverloaded.
func (m *bodyMemory) hold(n int64) error {
	m.need += n
	lacks := m.need - smallBody - m.held
	if lacks <= 0 || m.budget == nil {
		return nil
	}
	step := (lacks + bodyStep - 1) / bodyStep * bodyStep
	if !m.budget.Take(m.source, step) {
		e := conf.Errorf(conf.ErrOverloaded, "the bodies of requests from %s, or of all, take more memory than they may", m.source)
		e.RetryAfter = time.Second
		return e
	}
	m.held += step
	return nil
}

// release gives back what m holds, except for keep bytes.
func (m *bodyMemory) release(keep int64) {
	m.need = keep
	rest := max(m.held-max(keep-smallBody, 0), 0)
	if rest > 0 {
		m.held -= rest
		m.budget.Give(m.source, rest)
	}
}
