package transport

import (
	"context"
	"slices"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
)

const (
	// resolveInterval is the default of [WithResolveInterval].
	resolveInterval = 30 * time.Second
	// resolveGap is the minimum time between two resolves.
	resolveGap = time.Second
	// resolveTimeout bounds one resolve.
	resolveTimeout = 10 * time.Second
)

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

func (b *Balancer) resolve(ctx context.Context) {
	timed, cancel := context.WithTimeout(ctx, resolveTimeout)
	addrs, err := b.resolver.Resolve(timed)
	cancel()
	if ctx.Err() != nil {
		return // closed
	}
	if addrs = distinct(addrs); err == nil && len(addrs) == 0 {
		err = conf.Errorf(conf.ErrUnavailable, "the list of servers is empty")
	}
	b.mu.Lock()
	news := (err == nil) != (b.unresolved == nil)
	b.unresolved = err
	var idle []diamond.Transport
	if err == nil && !b.closed {
		idle = b.replace(addrs)
	}
	known := len(b.servers)
	close(b.resolved)
	b.resolved = make(chan struct{})
	b.mu.Unlock()
	closeAll(idle)
	switch {
	case !news:
	case err != nil:
		b.log.Warn("servers could not be resolved", "known", known, "error", err)
	default:
		b.log.Info("servers can be resolved again", "known", known)
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

// replace sets the list, keeps the state of the servers that stay, and returns the
// transports that are no longer needed. The caller holds mu.
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
