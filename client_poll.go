package diamond

import (
	"context"
	"errors"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/lograte"
	"github.com/linnaname/gdiamond/internal/longpoll"
)

// pollState is what the one long poll of a client stands on.
type pollState struct {
	version  int // of the set of keys that are polled for: grows when one joins or leaves
	awaited  int // how often somebody began to wait for an answer: grows
	position Position
	unsynced map[*keySlot]struct{} // joined, and not known up to position

	parked context.CancelCauseFunc // ends the poll that is parked; nil: none is
	rejoin *time.Timer             // that will end it for the sake of new keys; nil: none
	joined chan struct{}           // holds a token when there may be new keys
	last   time.Time               // when a poll was ended for new keys
	err    error                   // why the last poll failed; nil: it did not
}

func newPollState() pollState {
	return pollState{unsynced: make(map[*keySlot]struct{}), joined: make(chan struct{}, 1)}
}

// How long new keys wait for others before a parked poll is ended for them.
// Their values are known by then; only what changes later depends on the poll.
const (
	rejoinSoon  = 5 * time.Millisecond
	rejoinLater = 250 * time.Millisecond // where they keep coming
)

// errRejoin ends a parked poll, so that it is sent again for more keys.
var errRejoin = errors.New("more keys to poll for")

// join adds s to the keys that are polled for. mu must be held.
func (c *client) join(s *keySlot) {
	if s.joined || s.dropped || c.closed.Load() {
		return
	}
	p := &c.poll
	p.version++
	s.joined, s.joinedAt = true, p.version
	p.unsynced[s] = struct{}{}
	select {
	case p.joined <- struct{}{}:
	default:
	}
	if p.parked != nil && p.rejoin == nil {
		linger := rejoinSoon
		if time.Since(p.last) < time.Second {
			linger = rejoinLater
		}
		p.rejoin = time.AfterFunc(linger, c.endParked)
	}
}

// leave takes s out of the keys that are polled for. A poll that is parked goes
// on; what it says of s is passed over. mu must be held.
func (c *client) leave(s *keySlot) {
	if !s.joined {
		return
	}
	s.freeze(&c.confirmedAsOf)
	s.joined, s.synced, s.awaited = false, false, false
	delete(c.poll.unsynced, s)
	c.poll.version++
}

// await has the next poll answered at once where s is not synced. mu must be held.
func (c *client) await(s *keySlot) {
	if !s.joined || s.synced || s.awaited {
		return
	}
	s.awaited = true
	c.poll.awaited++
	if c.poll.parked != nil {
		c.poll.parked(errRejoin)
	}
}

// endParked ends the parked poll for the sake of new keys.
func (c *client) endParked() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.poll.rejoin = nil
	if c.poll.parked != nil {
		c.poll.last = time.Now()
		c.poll.parked(errRejoin)
	}
}

// unsync has s sent along with the next poll, as it is not known just up to
// the position of the others. mu must be held.
func (c *client) unsync(s *keySlot) {
	if s.joined {
		s.synced = false
		c.poll.unsynced[s] = struct{}{}
	}
}

// poller is the state of the goroutine that polls.
type poller struct {
	*client
	wait  *longpoll.Wait
	pause backoff.Backoff

	keys    []Key // of version
	set     KeySetHash
	version int
	awaited int  // as of the last request
	named   bool // the server has been sent the keys of the set
	resync  bool // it has asked for all that is held
	compare bool // the last poll failed: see first what is different

	outage lograte.Outage
	idle   int // answers in a row that brought nothing and came early
}

// runPolls keeps all joined keys up to date: it has one poll parked, and sends
// the next as soon as one is answered.
//
// Each poll begins with a comparison at the server, and one that failed is
// followed by one that does not wait. So whatever becomes of parked polls on
// the way, there is a comparison every 30 seconds.
func (c *client) runPolls(ctx context.Context) {
	p := poller{client: c, wait: longpoll.New()}
	for {
		req, version := p.request()
		for req == nil { // nothing to poll for
			select {
			case <-c.poll.joined:
				req, version = p.request()
			case <-ctx.Done():
				return
			}
		}
		start := time.Now()
		resp, err := p.ask(ctx, req)
		parked := time.Since(start)
		useful := false
		if err == nil {
			useful, err = p.take(ctx, version, resp)
		}
		if ctx.Err() != nil {
			return
		}
		if p.after(ctx, req, resp, err, parked, useful) != nil {
			return
		}
	}
}

// after draws the conclusions from a poll, and pauses where the next one must not follow at once.
func (p *poller) after(ctx context.Context, req *PollRequest, resp *PollResponse, err error, parked time.Duration, useful bool) error {
	if errors.Is(err, errRejoin) || p.refuseBlamed(err) {
		return nil
	}
	p.note(err)
	p.pause.Cap = pauseCap(err)
	if err != nil {
		if req.Wait > 0 {
			p.wait.Cut(parked)
		}
		p.compare = true
		return p.pause.Wait(ctx, retryAfterOf(err))
	}
	p.compare = false
	if resp.Resync {
		return nil // which says neither that there is news nor that there is none
	}
	full := req.Wait > 0 && parked >= req.Wait*9/10
	if full && !resp.Draining {
		p.wait.Full()
	}
	// A server that answers again and again with nothing must not keep us busy.
	if useful || full {
		p.idle = 0
	} else {
		p.idle++
	}
	if p.idle < 2 {
		p.pause.Reset()
		return nil
	}
	return p.pause.Wait(ctx, 0)
}

// request makes the next poll; nil: there are no keys.
func (p *poller) request() (*PollRequest, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := &p.poll
	if st.version != p.version {
		p.keys = p.joinedKeys()
		p.set, p.version, p.named = HashKeys(p.keys), st.version, false
	}
	p.awaited = st.awaited
	if len(p.keys) == 0 {
		return nil, 0
	}
	req := &PollRequest{Client: p.calls.info, Set: p.set, Wait: p.wait.Next()}
	if p.compare {
		req.Wait = 0
	}
	if !p.named || p.resync {
		req.Keys = p.keys
	}
	if p.resync {
		for _, s := range p.slots.All() {
			if h := s.held(); s.joined && h.Revision > 0 {
				req.Held = append(req.Held, h)
			}
		}
	} else {
		req.Position = st.position
	}
	for s := range st.unsynced {
		if !p.resync {
			req.Held = append(req.Held, s.held()) // nothing, too: or it would count as known up to Position
		}
		if !s.answered() || s.refused != nil || s.awaited {
			req.Wait = 0 // someone may be waiting to be told that there is nothing, or nothing new
		}
	}
	return req, st.version
}

// joinedKeys returns the keys that are polled for. mu must be held.
func (c *client) joinedKeys() []Key {
	var keys []Key
	for _, s := range c.slots.All() {
		if s.joined {
			keys = append(keys, s.key)
		}
	}
	return keys
}

// ask sends a poll. It does not wait longer for the answer than it should take:
// a connection may be dead without anyone having said so.
func (p *poller) ask(ctx context.Context, req *PollRequest) (*PollResponse, error) {
	ctx, stop := context.WithTimeoutCause(ctx, req.Wait+pollSlack, errTimeout)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if req.Wait > 0 {
		p.park(cancel)
		defer p.unpark()
	}
	resp, err := p.calls.transport.Poll(ctx, req)
	if err != nil && errors.Is(context.Cause(ctx), errRejoin) {
		return nil, errRejoin
	}
	if err != nil {
		return nil, callError(ctx, "poll", Key{}, err)
	}
	return resp, nil
}

// park lets new keys end the poll.
func (p *poller) park(cancel context.CancelCauseFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.poll.parked = cancel
	if p.poll.version != p.version || p.poll.awaited != p.awaited { // some have come since the request was made
		p.poll.rejoin = time.AfterFunc(rejoinSoon, p.endParked)
	}
}

func (p *poller) unpark() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.poll.parked = nil
	if p.poll.rejoin != nil {
		p.poll.rejoin.Stop()
		p.poll.rejoin = nil
	}
}

// note keeps how the last poll went, for Status and the log.
func (p *poller) note(err error) {
	p.outage.Note(p.log, err, "no server can be polled; values stay as they are", "polling again")
	if p.outage.Failures() == 1 {
		err = nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.poll.err = err
}
