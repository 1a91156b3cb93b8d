package transport

import (
	"context"
	"log/slog"
	"sync"
	"time"

	diamond "github.com/linnaname/gdiamond"
)

// Option changes a default of [NewBalancer].
type Option func(*Balancer)

// WithLogger sets the logger. A Balancer logs when it leaves a server, and when its
// resolver fails. By default nothing is logged.
func WithLogger(logger *slog.Logger) Option {
	return func(b *Balancer) { b.log = logger }
}

// WithResolveInterval sets the interval at which a Balancer asks its resolver while
// nothing fails. It varies by up to a tenth. The default is 30 s.
func WithResolveInterval(d time.Duration) Option {
	return func(b *Balancer) { b.interval = d }
}

// Balancer is a [diamond.Transport] over all servers that a resolver knows. It
// stays with one random server until that server fails, is silent, says that it is
// overloaded, behind, draining or without its storage for 10 s, or leaves the list.
// Then it chooses another random one. It also chooses again after 15 to 45 minutes,
// so that clients spread evenly again after restarts. It is safe for concurrent use.
//
// A call tries each server at most once. It tries servers that failed lately last, and
// does not try a server that has sent a Retry-After before that time is over. If the
// outcome of a commit with a RequestID is unknown after that, the commit goes once more
// to the server that was asked first. A call does not pause between attempts and does not
// repeat itself. The caller may repeat it after [conf.Error].RetryAfter, which is the time
// until the first server may be asked again, or 0 if one may be asked at once.
//
// A request that changes nothing and does not wait also goes to another server if no byte
// of an answer has arrived for 400 ms (see [Heard]); the first good answer counts. A
// request that waits goes only to a server that has answered in the last minute. Another
// server first gets the same request without the wait.
//
// Answers never go back: an answer of an older position than one seen before the
// call fails with ErrBehind, and the next server is asked. The only exception is a
// Fetch that names no position; see [Balancer.Fetch].
//
// A commit goes to another server only if it was certainly not done, or has a
// RequestID, under which it is done once.
type Balancer struct {
	resolver Resolver
	dial     func(addr string) (diamond.Transport, error)
	log      *slog.Logger
	interval time.Duration

	kick chan struct{} // capacity 1: asks for a resolve soon
	stop context.CancelFunc
	done chan struct{}

	mu         sync.Mutex
	servers    []*server     // guarded by mu; in the order of the list
	current    *server       // guarded by mu; nil, or one of servers
	until      time.Time     // guarded by mu; the time at which another one is chosen
	floor      floor         // guarded by mu
	floorSince time.Time     // guarded by mu; when the newest position was first seen
	resolved   chan struct{} // guarded by mu; closed at the end of the resolve under way
	unresolved error         // guarded by mu; the error of the last resolve, or nil
	closed     bool          // guarded by mu
}

var _ diamond.Transport = (*Balancer)(nil)

// NewBalancer returns a Balancer over the servers that resolver finds. Dial makes the
// transport to a server when it is first needed; it should not block. A transport
// with a Close method is closed when its server has left the list and its calls have
// ended, and by [Balancer.Close].
//
// The Balancer asks the resolver at once, then from time to time, and when servers
// fail. After an empty or failed answer it keeps the last good list.
func NewBalancer(resolver Resolver, dial func(addr string) (diamond.Transport, error), opts ...Option) *Balancer {
	ctx, cancel := context.WithCancel(context.Background())
	b := &Balancer{
		resolver: resolver,
		dial:     dial,
		log:      slog.New(slog.DiscardHandler),
		interval: resolveInterval,
		kick:     make(chan struct{}, 1),
		stop:     cancel,
		done:     make(chan struct{}),
		resolved: make(chan struct{}),
	}
	for _, opt := range opts {
		opt(b)
	}
	go b.resolveLoop(ctx)
	return b
}

// Close closes the transports that were dialled, and waits for the resolver to
// stop. Calls after it fail with [conf.ErrClosed]; a second Close does nothing.
func (b *Balancer) Close() {
	b.mu.Lock()
	b.closed = true
	var idle []diamond.Transport
	for _, s := range b.servers {
		s.gone = true
		idle = s.release(idle)
	}
	b.servers, b.current = nil, nil
	b.mu.Unlock()
	closeAll(idle)
	b.stop()
	<-b.done
}
