package transport

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/backoff"
)

// kind is what a server may fail at by itself: with its storage down it can
// still be read from.
type kind int

const (
	reading kind = iota
	writing
)

// server is one address. Its fields but addr are guarded by Balancer.mu.
type server struct {
	addr      string
	transport diamond.Transport // nil until dialled
	calls     int               // under way
	gone      bool              // not in the list any more
	health    [2]health         // by kind
}

// health is when a server is asked again.
type health struct {
	backoff backoff.Backoff
	cool    time.Time      // asked last until then
	away    time.Time      // not asked until then
	why     *diamond.Error // with away: what it said
}

// fail notes a failure. Calls that fail together count as one.
func (h *health) fail(now time.Time, err error) {
	var said *diamond.Error
	var retry time.Duration
	if errors.As(err, &said) {
		retry = said.RetryAfter
	}
	if cool := now.Add(retry); !now.Before(h.cool) || cool.After(h.cool) {
		h.cool = cool.Add(h.backoff.Next(0))
	}
	if retry > 0 {
		h.away, h.why = h.cool, said
	}
}

// release adds s's transport to list when nobody needs it any more.
func (s *server) release(list []diamond.Transport) []diamond.Transport {
	if s.gone && s.calls == 0 && s.transport != nil {
		list = append(list, s.transport)
		s.transport = nil
	}
	return list
}

func closeAll(transports []diamond.Transport) {
	for _, t := range transports {
		switch c := t.(type) {
		case interface{ Close() }:
			c.Close()
		case interface{ Close() error }:
			_ = c.Close() // nobody is left to be told
		}
	}
}

// candidates returns the servers to try, in order. When no list is known yet
// it waits for one.
func (b *Balancer) candidates(ctx context.Context, kind kind) ([]*server, error) {
	for first := true; ; first = false {
		b.mu.Lock()
		switch {
		case b.closed:
			b.mu.Unlock()
			return nil, diamond.Errorf(diamond.ErrClosed, "balancer")
		case ctx.Err() != nil: // that there is no server is no news to who has left
			b.mu.Unlock()
			return nil, ctx.Err()
		case len(b.servers) > 0:
			list, err := b.order(time.Now(), kind)
			b.mu.Unlock()
			return list, err
		case !first:
			err := b.unresolved
			b.mu.Unlock()
			return nil, noServers(err)
		}
		resolved := b.resolved
		b.mu.Unlock()
		b.resolveSoon()
		select {
		case <-resolved:
		case <-b.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func noServers(err error) error {
	detail := "no server is known"
	if err != nil {
		detail += ": " + err.Error()
	}
	return diamond.Errorf(diamond.ErrUnavailable, "%s", detail)
}

// order returns the current server, those after it in the list, and then
// those that are cooling down, the first to be ready first.
func (b *Balancer) order(now time.Time, kind kind) ([]*server, error) {
	at := slices.Index(b.servers, b.current)
	if at < 0 {
		at = rand.IntN(len(b.servers))
	}
	var ready, cooling []*server
	var soonest *health // of those to be left alone
	for i := range b.servers {
		s := b.servers[(at+i)%len(b.servers)]
		switch h := &s.health[kind]; {
		case now.Before(h.away):
			if soonest == nil || h.away.Before(soonest.away) {
				soonest = h
			}
		case now.Before(h.cool):
			cooling = append(cooling, s)
		default:
			ready = append(ready, s)
		}
	}
	slices.SortStableFunc(cooling, func(a, b *server) int { return a.health[kind].cool.Compare(b.health[kind].cool) })
	list := append(ready, cooling...)
	if len(list) == 0 {
		e := *soonest.why
		e.RetryAfter = soonest.away.Sub(now)
		return nil, &e
	}
	return list, nil
}

// begin notes a call to s and returns its transport, dialled if need be.
func (b *Balancer) begin(s *server) (diamond.Transport, seen, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, seen{}, diamond.Errorf(diamond.ErrClosed, "balancer")
	}
	if s.transport == nil {
		t, err := b.dial(s.addr)
		if err != nil {
			err := diamond.Errorf(diamond.ErrUnavailable, "%s: %v", s.addr, err)
			b.leave(s, err, reading, writing)
			return nil, seen{}, err
		}
		s.transport = t
	}
	s.calls++
	return s.transport, b.seen, nil
}

// saw notes the position of an answer.
func (b *Balancer) saw(t tie, at diamond.Position) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen.raise(t, at)
}

// outcome is what a call's end says of the server that was asked.
type outcome int

const (
	unheard outcome = iota // nothing: the caller has left
	well                   // it has answered
	leaving                // it has answered, and is going away
	unwell                 // it could not answer
)

// end notes the end of a call of some kind to s, with the outcome that follows from err.
func (b *Balancer) end(s *server, kind kind, outcome outcome, err error) {
	b.mu.Lock()
	left := false
	switch outcome {
	case well:
		b.keep(s, kind)
	case leaving:
		b.leave(s, nil, reading, writing)
	case unwell:
		left = b.leave(s, err, blamed(kind, err)...)
	}
	s.calls--
	idle := s.release(nil)
	b.mu.Unlock()
	closeAll(idle)
	if left {
		b.resolveSoon()
		b.log.Info("leaving server", "address", s.addr, "error", err)
	}
}

// blamed returns the kinds of calls that s fails at, where one of a kind failed with err.
func blamed(failed kind, err error) []kind {
	var said *diamond.Error
	if errors.As(err, &said) && said.Remote {
		return []kind{failed} // as it says
	}
	return []kind{reading, writing} // it could not be asked at all
}

// keep forgets what s failed at. It is the current one where there is none that
// can be read from. The caller holds mu.
func (b *Balancer) keep(s *server, kind kind) {
	s.health[kind] = health{}
	// A write that one server could not do says nothing against reading from it.
	if !s.gone && !b.closed && (b.current == nil || time.Now().Before(b.current.health[reading].cool)) {
		b.current = s
	}
}

// leave has s cool down for some kinds of calls. If it is the current one, and
// cannot be read from, the next in the list is. The caller holds mu.
func (b *Balancer) leave(s *server, err error, kinds ...kind) bool {
	now := time.Now()
	for _, k := range kinds {
		s.health[k].fail(now, err)
	}
	if b.current != s || !slices.Contains(kinds, reading) {
		return false
	}
	at := slices.Index(b.servers, s)
	b.current = b.servers[(at+1)%len(b.servers)]
	return true
}
