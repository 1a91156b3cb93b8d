package follower

import (
	"context"
	"errors"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/longpoll"
)

// The time for which new keys wait for more keys before the parked poll is ended for them.
// Their values are known already: they need the poll only for later changes.
const (
	rejoinSoon  = 5 * time.Millisecond
	rejoinLater = 250 * time.Millisecond // if keys keep coming
)

// letGoEvery is the interval at which the poller looks for keys that have not been used
// for keepUnused.
const letGoEvery = time.Minute

// errRejoin ends a parked poll so that it is sent again with more keys.
var errRejoin = errors.New("more keys to poll for")

// poller keeps followed keys up to date by one long poll, and lets go of keys that
// are no longer used.
type poller struct {
	calls   *calls
	slots   *slots
	refused *refusals
	fetcher *fetcher

	joined chan struct{}           // holds a token when there may be new keys
	waits  int                     // guarded by the slots' mu: the number of calls of await
	parked context.CancelCauseFunc // guarded by the slots' mu: ends the parked poll, or nil if none is parked
	rejoin *time.Timer             // guarded by the slots' mu: will end the parked poll for new keys, or nil
	last   time.Time               // guarded by the slots' mu: when a poll was last ended for new keys
	err    error                   // guarded by the slots' mu: why polls fail, or nil if they do not

	// The fields below are confined to the polling goroutine.
	wait  *longpoll.Wait
	pause backoff.Backoff

	keys      []conf.Key // of version
	set       conf.KeySetHash
	version   int
	waitsSent int  // waits as of the last request
	named     bool // the server has received the keys of the set
	resync    bool // the server has asked for everything the client holds
	compare   bool // the last poll failed: the next one must not wait

	tries attempts
	idle  int // early answers in a row that brought nothing
}

func newPoller(calls *calls, slots *slots, refused *refusals, fetcher *fetcher) *poller {
	return &poller{
		calls: calls, slots: slots, refused: refused, fetcher: fetcher,
		joined: make(chan struct{}, 1), wait: longpoll.New(),
		tries: attempts{health: calls.health, problem: calls.health.noAnswer},
	}
}

// onJoined makes the poller poll for new keys. The slots' mu must be held.
func (p *poller) onJoined() {
	select {
	case p.joined <- struct{}{}:
	default:
	}
	if p.parked != nil && p.rejoin == nil {
		linger := rejoinSoon
		if time.Since(p.last) < time.Second {
			linger = rejoinLater
		}
		p.rejoin = time.AfterFunc(linger, p.endParked)
	}
}

// await makes the next poll return at once if s is not synced. The slots' mu must be held.
func (p *poller) await(s *slot) {
	if !s.joined || s.synced || s.awaited {
		return
	}
	s.awaited = true
	p.waits++
	if p.parked != nil {
		p.parked(errRejoin)
	}
}

// endParked ends the parked poll for new keys.
func (p *poller) endParked() {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	p.rejoin = nil
	if p.parked != nil {
		p.last = time.Now()
		p.parked(errRejoin)
	}
}

// run keeps all joined keys up to date. It parks one poll at a server, and sends
// the next as soon as one is answered.
//
// Each poll begins with a comparison at the server, and a poll that failed is
// followed by one that does not wait. So there is a comparison every 30 seconds,
// whatever happens to parked polls on the way.
func (p *poller) run(ctx context.Context) {
	for {
		req, version := p.request()
		for req == nil { // nothing to poll for
			p.tries.giveUp()
			p.setErr(nil)
			select {
			case <-p.joined:
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

// after handles the outcome of a poll. It pauses if the next one must not follow at
// once.
func (p *poller) after(ctx context.Context, req *conf.PollRequest, resp *conf.PollResponse, err error, parked time.Duration, useful bool) error {
	if errors.Is(err, errRejoin) || p.refused.refuseBlamed(err) {
		return nil
	}
	p.setErr(p.tries.note(err))
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
		return nil // which does not tell whether there is something new
	}
	full := req.Wait > 0 && parked >= req.Wait*9/10
	if full && !resp.Draining {
		p.wait.Full()
	}
	// Servers that answer early without changes must not cause a busy loop.
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

// request makes the next poll and returns the version of its set of keys, or nil if
// there are no keys.
func (p *poller) request() (*conf.PollRequest, int) {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	if p.slots.version != p.version {
		p.keys = p.joinedKeys()
		p.set, p.version, p.named = conf.HashKeys(p.keys), p.slots.version, false
	}
	p.waitsSent = p.waits
	if len(p.keys) == 0 {
		return nil, 0
	}
	req := &conf.PollRequest{Client: p.calls.info, Set: p.set, Wait: p.wait.Next()}
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
			req.Held = append(req.Held, s.held()) // even if nothing is held, or the key would count as known up to Position
		}
		if !s.answered() || s.refused != nil || s.awaited {
			req.Wait = 0 // a caller may wait for the answer, even if it brings nothing new
		}
	}
	return req, p.slots.version
}

// joinedKeys returns the polled keys. The slots' mu must be held.
func (p *poller) joinedKeys() []conf.Key {
	var keys []conf.Key
	for _, s := range p.slots.byKey.All() {
		if s.joined {
			keys = append(keys, s.key)
		}
	}
	return keys
}

// ask sends a poll. It stops waiting pollSlack after the answer is due, because the
// connection may be dead.
func (p *poller) ask(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
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
		return nil, callError(ctx, "poll", conf.Key{}, err)
	}
	return resp, nil
}

// park lets new keys end the poll.
func (p *poller) park(cancel context.CancelCauseFunc) {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	p.parked = cancel
	if p.slots.version != p.version || p.waits != p.waitsSent { // keys have joined since the request was made
		p.rejoin = time.AfterFunc(rejoinSoon, p.endParked)
	}
}

func (p *poller) unpark() {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	p.parked = nil
	if p.rejoin != nil {
		p.rejoin.Stop()
		p.rejoin = nil
	}
}

// setErr records why polls fail, or nil if they do not.
func (p *poller) setErr(err error) {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	p.err = err
}

// take applies the answer to a poll. It first fetches the contents that the answer
// only names, then applies everything at once. useful reports whether the client
// knows more than before.
func (p *poller) take(ctx context.Context, version int, resp *conf.PollResponse) (useful bool, err error) {
	if resp.Resync {
		if p.resync {
			return false, &conf.Error{Op: "poll", Err: conf.ErrUnavailable, Remote: true, Detail: "the server asks for all keys again and again"}
		}
		p.resync = true
		return true, nil
	}
	if resp.Draining && resp.Position.IsZero() {
		return false, nil
	}
	if err := p.calls.observe(resp.Position); err != nil {
		return false, conf.WithOp("poll", conf.Key{}, err)
	}
	a := newPollAnswer(resp, version)
	if err := a.sort(p.slots); err != nil {
		return false, err
	}
	if p.tries.failures > 0 {
		a.retryMissing(p.fetcher) // polls work again, so contents may too
	}
	a.fetchNamed(ctx, p.fetcher)
	p.named, p.resync = version == p.version, false
	return a.apply(p.fetcher), nil
}

// runLetGo lets go of keys that are no longer used. Without it a program that reads
// ever new keys would reach the limit of followed keys.
func (p *poller) runLetGo(ctx context.Context) {
	for backoff.Sleep(ctx, letGoEvery) == nil {
		p.letGo(time.Now())
	}
}

// letGo drops the keys that have not been used for keepUnused. It drops none while polls
// fail, because the values in memory may then be the only ones.
func (p *poller) letGo(now time.Time) {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	if p.err != nil {
		return
	}
	p.slots.byKey.DeleteFunc(func(_ conf.Key, s *slot) bool {
		if s.used.Swap(false) || len(s.listeners) > 0 || s.loading {
			s.lastUsed = now
		}
		if now.Sub(s.lastUsed) < keepUnused {
			return false
		}
		p.slots.drop(s)
		return true
	})
}
