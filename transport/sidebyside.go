package transport

import (
	"context"
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

// Heard tells the [Balancer] that ctx comes from that the server is answering: it
// is not silent, however long the whole answer takes. A transport calls it whenever
// bytes of an answer have come. From one that does not, an answer is silence until
// it is whole, and a large one is asked for twice. With a context of something else
// it does nothing. It is safe for concurrent use, and does not block.
func Heard(ctx context.Context) {
	if heard, ok := ctx.Value(heardKey{}).(func()); ok {
		heard()
	}
}

// withHeard returns a context in which [Heard] leaves a token in the channel.
func withHeard(ctx context.Context) (context.Context, <-chan struct{}) {
	heard := make(chan struct{}, 1)
	return context.WithValue(ctx, heardKey{}, func() {
		select {
		case heard <- struct{}{}:
		default:
		}
	}), heard
}

// answer is the end of one try.
type answer[Resp any] struct {
	resp Resp
	err  error
}

// sideBySide asks one server, and the next one too as soon as one has failed or
// nothing has come from any of them for patience, in the middle of an answer too.
// The first good answer counts. It is for questions that change nothing and do not
// wait.
func sideBySide[Resp any](ctx context.Context, b *Balancer, c *call[Resp], servers []*server, v *verdict) (Resp, error) {
	var none Resp
	all, stop := context.WithCancel(ctx)
	all, heard := withHeard(all)
	defer stop() // those that are not waited for any more; each ends with its context
	answers := make(chan answer[Resp], len(servers))
	next, asking := 0, 0 // the server to ask, and how many are being asked
	ask := func() {
		s := servers[next]
		next++
		asking++
		go func() {
			resp, err := one(ctx, all, b, c, s)
			answers <- answer[Resp]{resp, err}
		}()
	}
	silent := time.NewTimer(patience)
	defer silent.Stop()
	for ask(); ; {
		select {
		case <-heard:
			silent.Reset(patience)
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
