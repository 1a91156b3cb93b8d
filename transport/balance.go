package transport

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/backoff"
)

// Option changes a default of [Balance].
type Option func(*Balancer)

// WithLogger sets where a Balancer logs the loss of servers and of the
// resolver; by default nowhere.
func WithLogger(logger *slog.Logger) Option {
	return func(b *Balancer) { b.log = logger }
}

// WithResolveInterval sets how often a Balancer asks its resolver, with
// jitter, while nothing fails; by default 30 s.
func WithResolveInterval(d time.Duration) Option {
	return func(b *Balancer) { b.interval = d }
}

// Balancer is a [diamond.Transport] over all servers that a resolver knows. It
// stays with one server, the first being a random one, until that fails, says
// that it is overloaded, behind or draining, or leaves the list; then it goes
// on to the next. It is safe for concurrent use.
//
// A call tries each server at most once, those that failed lately last, and
// never one that has asked to be left alone (Retry-After) for as long as it
// asked. It does not pause between tries or repeat itself: that is for the
// caller, who finds in [diamond.Error].RetryAfter when it is worth it.
//
// Answers never go back: a server whose answer is of an older position than
// one seen before the call is ErrBehind, and the next is asked.
//
// A commit goes on to another server only when it was certainly not done, or
// has a RequestID, under which it is done once.
type Balancer struct {
	resolver Resolver
	dial     func(addr string) (diamond.Transport, error)
	log      *slog.Logger
	interval time.Duration

	kick chan struct{} // asks for a resolve soon
	stop context.CancelFunc
	done chan struct{}

	mu       sync.Mutex
	servers  []*server     // guarded by mu; in the order of the list
	current  *server       // guarded by mu; nil, or one of servers
	seen     seen          // guarded by mu
	resolved chan struct{} // guarded by mu; closed at the end of the resolve under way
	failed   error         // guarded by mu; of the last resolve
	closed   bool          // guarded by mu
}

// server is one address. Its fields but addr are guarded by Balancer.mu.
type server struct {
	addr      string
	transport diamond.Transport // nil until dialled
	calls     int               // under way
	gone      bool              // not in the list any more

	backoff backoff.Backoff
	cool    time.Time      // asked last until then
	away    time.Time      // not asked until then
	why     *diamond.Error // with away: what it said
}

var _ diamond.Transport = (*Balancer)(nil)

// Balance returns a Balancer over the servers that resolver finds. dial makes
// the transport to one of them, when it is first needed; it should not block.
// A transport with a Close method is closed when its server has left the list
// and its calls have ended, and by [Balancer.Close].
//
// The resolver is asked at once, then from time to time, and when servers
// fail. An empty or failed answer keeps the last good list.
func Balance(resolver Resolver, dial func(addr string) (diamond.Transport, error), opts ...Option) *Balancer {
	ctx, cancel := context.WithCancel(context.Background())
	b := &Balancer{
		resolver: resolver,
		dial:     dial,
		log:      slog.New(slog.DiscardHandler),
		interval: 30 * time.Second,
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
// stop. Calls after it fail with [diamond.ErrClosed]; a second Close does nothing.
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

// The least time between two resolves.
const resolveGap = time.Second

func (b *Balancer) resolveLoop(ctx context.Context) {
	defer close(b.done)
	for {
		b.resolve(ctx)
		if backoff.Sleep(ctx, min(resolveGap, b.interval)) != nil {
			return
		}
		timer := time.NewTimer(backoff.Jitter(b.interval, 0.1))
		select {
		case <-timer.C:
		case <-b.kick:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// resolveTimeout bounds one resolve.
const resolveTimeout = 10 * time.Second

func (b *Balancer) resolve(ctx context.Context) {
	timed, cancel := context.WithTimeout(ctx, resolveTimeout)
	addrs, err := b.resolver.Resolve(timed)
	cancel()
	if ctx.Err() != nil {
		return // closed
	}
	if addrs = distinct(addrs); err == nil && len(addrs) == 0 {
		err = diamond.Errorf(diamond.ErrUnavailable, "the list of servers is empty")
	}
	b.mu.Lock()
	news := (err == nil) != (b.failed == nil)
	b.failed = err
	var idle []diamond.Transport
	if err == nil && !b.closed {
		idle = b.replace(addrs)
	}
	known := len(b.servers)
	close(b.resolved)
	b.resolved = make(chan struct{})
	b.mu.Unlock()
	closeAll(idle)
	if err != nil && (news || known == 0) {
		b.log.Warn("servers could not be resolved", "known", known, "error", err)
	}
}

// distinct returns the addresses that are not blank, each once.
func distinct(addrs []string) (list []string) {
	for _, addr := range addrs {
		if addr != "" && !slices.Contains(list, addr) {
			list = append(list, addr)
		}
	}
	return list
}

// replace sets the list, keeps what is known of the servers that stay, and
// returns the transports that are no longer needed.
func (b *Balancer) replace(addrs []string) (idle []diamond.Transport) {
	old := make(map[string]*server, len(b.servers))
	for _, s := range b.servers {
		old[s.addr] = s
	}
	b.servers = nil
	for _, addr := range addrs {
		s := old[addr]
		delete(old, addr)
		if s == nil {
			s = &server{addr: addr}
		}
		b.servers = append(b.servers, s)
	}
	for _, s := range old {
		s.gone = true
		idle = s.release(idle)
		if b.current == s {
			b.current = nil
		}
	}
	return idle
}

// resolveSoon asks for a new list.
func (b *Balancer) resolveSoon() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// candidates returns the servers to try, in order. When no list is known yet
// it waits for one.
func (b *Balancer) candidates(ctx context.Context) ([]*server, error) {
	for first := true; ; first = false {
		b.mu.Lock()
		switch {
		case b.closed:
			b.mu.Unlock()
			return nil, diamond.Errorf(diamond.ErrClosed, "balancer")
		case len(b.servers) > 0:
			list, err := b.order(time.Now())
			b.mu.Unlock()
			return list, err
		case !first:
			err := b.failed
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
func (b *Balancer) order(now time.Time) ([]*server, error) {
	at := slices.Index(b.servers, b.current)
	if at < 0 {
		at = rand.IntN(len(b.servers))
	}
	var ready, cooling []*server
	var soonest *server // of those to be left alone
	for i := range b.servers {
		s := b.servers[(at+i)%len(b.servers)]
		switch {
		case now.Before(s.away):
			if soonest == nil || s.away.Before(soonest.away) {
				soonest = s
			}
		case now.Before(s.cool):
			cooling = append(cooling, s)
		default:
			ready = append(ready, s)
		}
	}
	slices.SortStableFunc(cooling, func(a, b *server) int { return a.cool.Compare(b.cool) })
	list := append(ready, cooling...)
	if len(list) == 0 {
		e := *soonest.why
		e.RetryAfter = soonest.away.Sub(now)
		return nil, &e
	}
	return list, nil
}
