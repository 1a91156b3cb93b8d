package httpserve

import (
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/budget"
)

// The bodies of requests and the answers share one budget. A body takes memory from the
// moment when it begins to arrive until the request is done. An answer takes memory until
// its peer has read it. This bounds the memory that one address can take, and always
// leaves some for the others.
const (
	// smallBody is the size up to which a body takes nothing of the budget, because the
	// connection itself takes more. So small requests are served whatever others send.
	smallBody = 16 << 10
	// bodyStep is the number of bytes by which a body's part of the budget grows.
	bodyStep = 16 << 10
)

// HeldMemory is the number of bytes that count for one element of [conf.PollRequest.Held]
// besides the body, until the request has been answered or waits: for the key, and for the
// copies that are made to check, sort and hash it.
const HeldMemory = 256

// bodyMemory is the part of the budget that the body of one request takes.
type bodyMemory struct {
	budget *budget.Budget // nil if the request has no body
	source string
	need   int64 // bytes
	held   int64 // bytes of the budget; need is at most smallBody above it
}

// hold takes n more bytes, or fails with ErrOverloaded.
func (m *bodyMemory) hold(n int64) error {
	m.need += n
	lacks := m.need - smallBody - m.held
	if lacks <= 0 || m.budget == nil {
		return nil
	}
	step := (lacks + bodyStep - 1) / bodyStep * bodyStep
	if !m.budget.Take(m.source, step) {
		e := conf.Errorf(conf.ErrOverloaded, "request bodies from %s, or from all addresses, take too much memory", m.source)
		e.RetryAfter = time.Second
		return e
	}
	m.held += step
	return nil
}

// release gives back the memory of m, except for keep bytes.
func (m *bodyMemory) release(keep int64) {
	m.need = keep
	rest := max(m.held-max(keep-smallBody, 0), 0)
	if rest > 0 {
		m.held -= rest
		m.budget.Give(m.source, rest)
	}
}
