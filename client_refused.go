package diamond

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/coalesce"
)

// refusedPause is how long a client waits at least before it asks again for
// keys that servers refuse to it; at most it waits twice as long.
const refusedPause = 30 * time.Second

// refusals asks now and then for the keys that servers refuse to the client.
type refusals struct {
	calls *calls
	slots *slots
	queue *coalesce.Queue[*slot, struct{}] // refused, and perhaps allowed or dropped since
}

func newRefusals(calls *calls, slots *slots) *refusals {
	return &refusals{calls: calls, slots: slots, queue: coalesce.New[*slot, struct{}]()}
}

// refuse notes that servers do not let the client have s, which is asked for again
// by itself; see [slots.refuse]. The slots' mu must be held.
func (r *refusals) refuse(s *slot, err error) {
	r.slots.refuse(s, err)
	r.queue.Put(s, struct{}{})
}

// refuseBlamed refuses the keys for whose sake servers refused a whole poll.
// False: there are none.
func (r *refusals) refuseBlamed(err error) (found bool) {
	r.slots.mu.Lock()
	defer r.slots.mu.Unlock()
	for _, s := range r.slots.byKey.All() {
		if s.joined && blamed(err, s.key) {
			r.refuse(s, err)
			r.slots.show(s)
			found = true
		}
	}
	return found
}

// blamed reports whether a server refused a whole request for the sake of key,
// as servers do that do not know [PollResponse].Denied. Of a system namespace
// they name no key.
func blamed(err error, key Key) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Remote && isPermanent(err) && (e.Key.Canonical() == key || e.Key == Key{} && key.System())
}

// run asks again, at its pace, for all keys that servers refuse.
func (r *refusals) run(ctx context.Context) {
	for r.queue.Wait(ctx) == nil {
		if backoff.Sleep(ctx, refusedPause+rand.N(refusedPause)) != nil {
			return
		}
		asked := r.queue.Take()
		for r.ask(ctx, asked) {
		}
		r.queue.PutBack(asked)
	}
}

// ask asks for all of asked in one poll. It takes out of them those that
// are refused again, which it puts back, and those that are not, which join the
// keys that are polled for. True: more can be learned by asking for the others.
func (r *refusals) ask(ctx context.Context, asked map[*slot]struct{}) (more bool) {
	req := r.request(asked)
	if len(req.Keys) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, errTimeout)
	defer cancel()
	resp, err := r.calls.transport.Poll(ctx, req)
	if err == nil && (resp.Resync || resp.Position.IsZero()) {
		return false // it says nothing of them
	}
	denied := make(map[Key]bool)
	if err == nil {
		for i := range resp.Denied {
			denied[resp.Denied[i].Key.Canonical()] = true
		}
	}
	r.slots.mu.Lock()
	defer r.slots.mu.Unlock()
	for s := range asked {
		switch {
		case denied[s.key] || blamed(err, s.key):
			delete(asked, s)
			r.queue.Put(s, struct{}{})
			more = err != nil && len(asked) > 0
		case err == nil:
			delete(asked, s)
			r.slots.join(s) // the next poll brings what there is of it
		}
	}
	return more
}

// request makes a poll for those of asked that are still refused, and
// takes out the others.
func (r *refusals) request(asked map[*slot]struct{}) *PollRequest {
	req := &PollRequest{Client: r.calls.info}
	r.slots.mu.Lock()
	defer r.slots.mu.Unlock()
	for s := range asked {
		if s.refused == nil || s.dropped {
			delete(asked, s)
			continue
		}
		req.Keys = append(req.Keys, s.key)
		if h := s.held(); h.Revision > 0 {
			req.Held = append(req.Held, h)
		}
	}
	req.Set = HashKeys(req.Keys)
	return req
}
