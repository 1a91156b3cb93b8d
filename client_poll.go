package diamond

import (
	"context"
	"errors"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/lograte"
	"github.com/linnaname/gdiamond/internal/longpoll"
)

// How long new keys wait for others before a parked poll is ended for them.
// Their values are known by then; only what changes later depends on the poll.
const (
	rejoinSoon  = 5 * time.Millisecond
	rejoinLater = 250 * time.Millisecond // where they keep coming
)

// errRejoin ends a parked poll, so that it is sent again for more keys.
var errRejoin = errors.New("more keys to poll for")

// pollState is what the client's other parts know of the one long poll, and do to it.
type pollState struct {
	awaited int // how often somebody began to wait for an answer: grows

	parked context.CancelCauseFunc // ends the poll that is parked; nil: none is
	rejoin *time.Timer             // that will end it for the sake of new keys; nil: none
	joined chan struct{}           // holds a token when there may be new keys
	last   time.Time               // when a poll was ended for new keys
	err    error                   // why the last poll failed; nil: it did not
}

// onJoined has new keys polled for. The slots' mu must be held.
func (c *client) onJoined() {
	p := &c.poll
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
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	c.poll.rejoin = nil
	if c.poll.parked != nil {
		c.poll.last = time.Now()
		c.poll.parked(errRejoin)
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
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	if p.slots.version != p.version {
		p.keys = p.joinedKeys()
		p.set, p.version, p.named = HashKeys(p.keys), p.slots.version, false
	}
	p.awaited = p.poll.awaited
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
		for _, s := range p.slots.byKey.All() {
			if h := s.held(); s.joined && h.Revision > 0 {
				req.Held = append(req.Held, h)
			}
		}
	} else {
		req.Position = p.slots.position
	}
	for s := range p.slots.unsynced {
		if !p.resync {
			req.Held = append(req.Held, s.held()) // nothing, too: or it would count as known up to Position
		}
		if !s.answered() || s.refused != nil || s.awaited {
			req.Wait = 0 // someone may be waiting to be told that there is nothing, or nothing new
		}
	}
	return req, p.slots.version
}

// joinedKeys returns the keys that are polled for. mu must be held.
func (c *client) joinedKeys() []Key {
	var keys []Key
	for _, s := range c.slots.byKey.All() {
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
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	p.poll.parked = cancel
	if p.slots.version != p.version || p.poll.awaited != p.awaited { // some have come since the request was made
		p.poll.rejoin = time.AfterFunc(rejoinSoon, p.endParked)
	}
}

func (p *poller) unpark() {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
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
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	p.poll.err = err
}
