package transport

import (
	"context"
	"sync"
	"time"

	diamond "github.com/linnaname/gdiamond"
)

// patience is how long one server may be silent before the next one is asked
// beside it. It is well below that of all callers, so that a server that is
// mute keeps no program from starting.
const patience = 400 * time.Millisecond

// errSilent is why a server is left that has been silent for too long.
var errSilent = diamond.Errorf(diamond.ErrUnavailable, "no answer in time")

// heardKey is the key of a call's func() in its context; see [Heard].
type heardKey struct{}

// Heard tells the [Balancer] that ctx comes from that the server has begun to
// answer: it is not silent, however long the rest takes. A transport calls it
// when the first bytes of an answer are there. From one that does not, an
// answer is silence until it is whole, and a large one is asked for twice.
// With a context of something else it does nothing.
func Heard(ctx context.Context) {
	if heard, ok := ctx.Value(heardKey{}).(func()); ok {
		heard()
	}
}

// withHeard returns a context in which [Heard] sends to the channel, once.
func withHeard(ctx context.Context) (context.Context, <-chan struct{}) {
	heard := make(chan struct{}, 1)
	once := sync.OnceFunc(func() { heard <- struct{}{} })
	return context.WithValue(ctx, heardKey{}, once), heard
}

// answer is the end of one try.
type answer[Resp any] struct {
	resp Resp
	err  error
}

// sideBySide asks one server, and the next one too as soon as that has failed
// or been silent for patience. The first good answer counts. It is for
// questions that change nothing and do not wait.
func sideBySide[Resp any](ctx context.Context, b *Balancer, c *call[Resp], servers []*server, v *verdict) (Resp, error) {
	var none Resp
	all, stop := context.WithCancel(ctx)
	defer stop() // those that are not waited for any more; each ends with its context
	answers := make(chan answer[Resp], len(servers))
	next, asking := 0, 0 // the server to ask, and how many are being asked
	var heard <-chan struct{}
	ask := func() {
		s := servers[next]
		next++
		asking++
		var trying context.Context
		trying, heard = withHeard(all)
		go func() {
			resp, err := one(ctx, trying, b, c, s)
			answers <- answer[Resp]{resp, err}
		}()
	}
	silent := time.NewTimer(patience)
	defer silent.Stop()
	for ask(); ; {
		select {
		case <-heard:
			silent.Stop()
			continue
		case <-silent.C:
			if next == len(servers) {
				continue // it is waited for
			}
			b.overtake(servers[next-1], c.kind())
		case a := <-answers:
			asking--
			if a.err == nil {
				return a.resp, nil
			}
			v.add(a.err)
			switch {
			case ctx.Err() != nil:
				return none, a.err
			case !elsewhere(a.err):
				return none, a.err // a server's last word
			}
		}
		switch {
		case next < len(servers):
			ask()
			silent.Reset(patience)
		case asking == 0:
			b.resolveSoon()
			return none, v.err()
		}
	}
}
