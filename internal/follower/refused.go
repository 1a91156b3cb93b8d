package follower

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/coalesce"
)

// refusedPause is the shortest pause before a client asks again for keys that
// servers refuse. The longest is twice as long.
const refusedPause = 30 * time.Second

// refusals asks from time to time for the keys that servers refuse to the client.
type refusals struct {
	calls *calls
	slots *slots
	queue *coalesce.Queue[*slot, struct{}] // slots that were refused; some may be allowed or dropped by now
}

func newRefusals(calls *calls, slots *slots) *refusals {
	return &refusals{calls: calls, slots: slots, queue: coalesce.New[*slot, struct{}]()}
}

// refuse records that servers refuse s, see [slots.refuse], and makes run ask for it from
// time to time. The slots' mu must be held.
func (r *refusals) refuse(s *slot, err error) {
	r.slots.refuse(s, err)
	r.queue.Put(s, struct{}{})
}

// refuseBlamed refuses the keys because of which servers refused a whole poll. It
// returns false if there are none.
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

// blamed reports whether a server refused a whole request because of key. Servers
// that do not know [conf.PollResponse].Denied do that. For a key in a system namespace
// they name no key.
func blamed(err error, key conf.Key) bool {
	e, ok := errors.AsType[*conf.Error](err)
	return ok && e.Remote && isPermanent(err) && (e.Key.Canonical() == key || e.Key == conf.Key{} && key.System())
}

// run asks for all refused keys at intervals of refusedPause or longer.
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

// ask asks for the keys of asked in one poll. It removes those that are refused
// again, which it puts back in the queue, and those that are not, which join the
// polled keys. It returns true if asking for the rest can tell more.
func (r *refusals) ask(ctx context.Context, asked map[*slot]struct{}) (more bool) {
	req := r.request(asked)
	if len(req.Keys) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, errTimeout)
	defer cancel()
	resp, err := r.calls.transport.Poll(ctx, req)
	if err == nil && (resp.Resync || resp.Position.IsZero()) {
		return false // the answer says nothing about the keys
	}
	denied := make(map[conf.Key]bool)
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
			r.slots.join(s) // the next poll brings its state
		}
	}
	return more
}

// request makes a poll for the keys of asked that are still refused, and removes
// the others.
func (r *refusals) request(asked map[*slot]struct{}) *conf.PollRequest {
	req := &conf.PollRequest{Client: r.calls.info}
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
	req.Set = conf.HashKeys(req.Keys)
	return req
}
