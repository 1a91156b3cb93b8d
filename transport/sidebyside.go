package transport

import (
	"context"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// patience is the longest silence of a server before the next one is asked as well. It is
// much shorter than any caller waits, so that a silent server keeps no program from
// starting.
const patience = 400 * time.Millisecond

// errSilent is the reason to leave a server that has been silent for too long.
var errSilent = conf.Errorf(conf.ErrUnavailable, "no answer in time")

// heardKey is the key of a call's func() in its context; see [Heard].
type heardKey struct{}

// Heard tells the [Balancer] that made ctx that the server is answering, however long
// the whole answer takes. A transport calls it whenever bytes of an answer have
// arrived. If a transport does not, the Balancer considers its server silent until the
// answer is whole, and requests a large answer twice. With any other context Heard
// does nothing. It is safe for concurrent use and does not block.
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

// answer is the result of one attempt.
type answer[Resp any] struct {
	resp Resp
	err  error
}

// sideBySide asks one server, and also the next one as soon as one has failed or none
// has sent anything for patience, not even a part of an answer. The first good answer
// counts. It is for requests that change nothing and do not wait.
func sideBySide[Resp any](ctx context.Context, b *Balancer, c *call[Resp], servers []*server, v *verdict) (Resp, error) {
	var none Resp
	all, stop := context.WithCancel(ctx)
	all, heard := withHeard(all)
	defer stop() // ends the attempts that are still running
	answers := make(chan answer[Resp], len(servers))
	next, asking := 0, 0 // the next server to ask, and the number of those being asked
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
				continue // there is no other to ask
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
			case !tryElsewhere(a.err):
				return none, a.err // other servers would return the same error
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
