package transport

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
)

const (
	// preferFor is the time for which a server stays the current one. It varies by up to
	// a half.
	preferFor = 30 * time.Minute
	// provenFor is the longest time since its last answer for which the current server
	// gets a request that waits.
	provenFor = time.Minute
	// coolDown is the shortest time for which a server that failed is asked last. A random
	// part of the window of a backoff is added.
	coolDown = 500 * time.Millisecond
)

// kind is a kind of calls that a server may fail while it serves others: if its storage is
// down, it can still be read from.
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
	gone      bool              // it has left the list
	heard     time.Time         // of its last answer
	health    [2]health         // by kind
}

// health says from when on a server is asked again.
type health struct {
	backoff backoff.Backoff
	cool    time.Time   // until which the server is asked last
	away    time.Time   // until which the server is not asked
	why     *conf.Error // the error that set away
}

// fail records a failure. Calls that fail at the same time count as one.
func (h *health) fail(now time.Time, err error) {
	var said *conf.Error
	errors.As(err, &said)
	retry := retryAfter(err)
	if cool := now.Add(retry); !now.Before(h.cool) || cool.After(h.cool) {
		h.cool = cool.Add(h.backoff.Next(coolDown))
	}
	if retry > 0 {
		h.away, h.why = h.cool, said
	}
}

// release moves s's transport to list if nobody needs it any more.
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
			_ = c.Close() // there is no caller to return the error to
		}
	}
}

// candidates returns the servers to try, in order, and the time until the first of
// the others may be tried, or 0 if there are no others. It waits if no list is known
// yet.
func (b *Balancer) candidates(ctx context.Context, kind kind) ([]*server, time.Duration, error) {
	for first := true; ; first = false {
		b.mu.Lock()
		switch {
		case b.closed:
			b.mu.Unlock()
			return nil, 0, conf.Errorf(conf.ErrClosed, "balancer")
		case ctx.Err() != nil: // the caller has left, and does not need the error that there is no server
			b.mu.Unlock()
			return nil, 0, ctx.Err()
		case len(b.servers) > 0:
			list, away, err := b.order(time.Now(), kind)
			b.mu.Unlock()
			return list, away, err
		case !first:
			err := b.unresolved
			b.mu.Unlock()
			return nil, 0, noServers(err)
		}
		resolved := b.resolved
		b.mu.Unlock()
		b.resolveSoon()
		select {
		case <-resolved:
		case <-b.done:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

func noServers(err error) error {
	detail := "no server is known"
	if e, ok := errors.AsType[*conf.Error](err); ok && e.Err == conf.ErrUnavailable && e.Detail != "" {
		detail = e.Detail // which says so itself
	} else if err != nil {
		detail += ": " + err.Error()
	}
	return conf.Errorf(conf.ErrUnavailable, "%s", detail)
}

// order returns the current server, the others in a random order, and then those that are
// cooling down, in the order in which they will be ready. It also returns the time until
// the first server that has sent a Retry-After may be asked.
func (b *Balancer) order(now time.Time, kind kind) (list []*server, away time.Duration, err error) {
	b.chooseAnew(now)
	var cooling []*server
	var soonest *health // of the servers that must not be asked yet
	for _, i := range rand.Perm(len(b.servers)) {
		s := b.servers[i]
		switch h := &s.health[kind]; {
		case now.Before(h.away):
			if soonest == nil || h.away.Before(soonest.away) {
				soonest = h
			}
		case now.Before(h.cool):
			cooling = append(cooling, s)
		case s == b.current:
			list = slices.Insert(list, 0, s)
		default:
			list = append(list, s)
		}
	}
	slices.SortStableFunc(cooling, func(a, b *server) int { return a.health[kind].cool.Compare(b.health[kind].cool) })
	list = append(list, cooling...)
	if soonest == nil {
		return list, 0, nil
	}
	away = soonest.away.Sub(now)
	if len(list) == 0 {
		e := *soonest.why
		e.RetryAfter = away
		return nil, 0, &e
	}
	return list, away, nil
}

// begin counts a call to s. It returns the transport, which it dials first if there is
// none, and the floor.
func (b *Balancer) begin(s *server) (diamond.Transport, floor, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, floor{}, conf.Errorf(conf.ErrClosed, "balancer")
	}
	if s.transport == nil {
		t, err := b.dial(s.addr)
		if err != nil {
			err := conf.Errorf(conf.ErrUnavailable, "%s: %v", s.addr, err)
			b.leave(s, err, reading, writing)
			return nil, floor{}, err
		}
		s.transport = t
	}
	s.calls++
	return s.transport, b.floor, nil
}

// raiseFloor raises the floor to the position of an answer.
func (b *Balancer) raiseFloor(by answeredBy, at conf.Position) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.floor.stored
	if b.floor.raise(by, at); b.floor.stored != before {
		b.floorSince = time.Now()
	}
}

// floorAge returns the time since the newest position was first seen.
func (b *Balancer) floorAge() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(time.Since(b.floorSince), 1)
}

// outcome is the result of a call with regard to the server that was asked.
type outcome int

const (
	unheard outcome = iota // not known, because the caller has left
	well                   // the server has answered
	leaving                // the server has answered, and is about to stop
	unwell                 // the server could not answer
)

// end records the end of a call to s, with the outcome that follows from err.
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
		b.reportLeft(s, err)
	}
}

// blamed returns the kinds of calls that a server cannot serve, given that a call of kind
// failed ended with err.
func blamed(failed kind, err error) []kind {
	var said *conf.Error
	if errors.As(err, &said) && said.Remote {
		return []kind{failed} // the server itself says so
	}
	return []kind{reading, writing} // it could not be asked at all
}

// keep forgets the failures of s. S becomes the current server if there is none that
// can be read from. The caller holds mu.
func (b *Balancer) keep(s *server, kind kind) {
	now := time.Now()
	s.health[kind], s.heard = health{}, now
	// A write that one server could not do says nothing against reading from it.
	if !s.gone && !b.closed && (b.current == nil || now.Before(b.current.health[reading].cool)) {
		b.current, b.until = s, now.Add(backoff.Jitter(preferFor, 0.5))
	}
}

// leave makes s cool down for some kinds of calls, and reports whether s was the current
// server. If s cannot be read from, the next server that answers becomes the current one.
// The caller holds mu.
func (b *Balancer) leave(s *server, err error, kinds ...kind) bool {
	now := time.Now()
	for _, k := range kinds {
		s.health[k].fail(now, err)
	}
	if !slices.Contains(kinds, reading) {
		return false
	}
	if b.current != s {
		return false
	}
	b.current = nil
	return true
}

// overtake makes s, which has been silent for a while, cool down.
func (b *Balancer) overtake(s *server, kind kind) {
	b.mu.Lock()
	left := b.leave(s, errSilent, blamed(kind, errSilent)...)
	b.mu.Unlock()
	if left {
		b.reportLeft(s, errSilent)
	}
}

// reportLeft logs that s, which was the current server, is left.
func (b *Balancer) reportLeft(s *server, err error) {
	b.resolveSoon()
	b.log.Info("leaving server", "address", s.addr, "error", err)
}

// chooseAnew forgets the current server if it has been the current one for long
// enough. The next call then goes to a random one, so that clients that have all come
// to one server, as after a rolling restart, spread again. The caller holds mu.
func (b *Balancer) chooseAnew(now time.Time) {
	if b.current != nil && now.After(b.until) {
		b.current = nil
	}
}

// proven reports whether the current server has answered lately. Only then does it get a
// request that it may take long to answer.
func (b *Balancer) proven() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.chooseAnew(now)
	return b.current != nil && now.Sub(b.current.heard) < provenFor
}
