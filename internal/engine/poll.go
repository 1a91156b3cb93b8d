package engine

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/keysets"
)

// inlineTime is the longest time for loading all contents that an answer carries. No client
// waits for an answer for less.
const inlineTime = 500 * time.Millisecond

// polls answers polls and watches: at once if there are changes, otherwise as soon as there
// are.
type polls struct {
	served     *served
	reads      *reads
	health     *health
	interval   time.Duration // of the feed
	maxWaiters int

	sets     *keySets
	clients  *clients
	parked   atomic.Int64 // polls and watches that wait
	draining atomic.Bool
}

func newPolls(cfg *Config, reads *reads) *polls {
	full := func(used, held int64) error {
		return overloaded("%d keys are being polled, %d of them in sets from this address", used, held)
	}
	return &polls{
		served: reads.served, reads: reads, health: reads.health,
		interval: cfg.FeedInterval, maxWaiters: cfg.MaxWaiters,
		clients: newClients(),
		sets:    keysets.New[keySetName, conf.Key, sharedAnswer](reads.served.keyWaiters, cfg.MaxSetKeys, cfg.AddressSetKeys, full),
	}
}

// begin compares a poll of source for the first time. It returns the answer, if there is one
// already, and a query to wait on, which the caller must release. The query is nil if the
// client has to send the poll again in full.
func (p *polls) begin(ctx context.Context, asked *pollAsked, source string) (*query, *conf.PollResponse, error) {
	q, err := p.query(asked, source)
	if err != nil {
		return nil, nil, err
	}
	if q.set != nil {
		caller := conf.CallerFrom(ctx)
		q.client = p.clients.begin(&caller, source, asked.client, q.set, q.position.Revision)
	}
	if q.set == nil || p.served.trail.contradicts(q.position) {
		p.release(q)
		return nil, p.voided(), nil
	}
	resp, err := p.compare(ctx, q)
	if err == nil && len(q.set.Denied) > 0 && (resp == nil || !resp.Resync) {
		resp = denying(q, resp)
	}
	return q, p.finish(resp, false), err
}

// query returns the query of a poll. Its set is nil if the server does not know the set.
// Otherwise the caller must release the query.
func (p *polls) query(asked *pollAsked, source string) (*query, error) {
	q := &query{position: asked.position, system: asked.set.system}
	var err error
	if q.set, err = p.sets.Acquire(asked.set, asked.keys, asked.denied, source); err != nil || q.set == nil {
		return q, err
	}
	held := asked.held
	if len(q.set.Denied) > 0 {
		held = slices.DeleteFunc(held, func(h conf.Held) bool { return q.set.Denies(h.Key) })
	}
	if q.held, err = placesIn(q.set, held); err != nil {
		p.release(q)
		return nil, err
	}
	return q, nil
}

// release gives back the set of a query, whose client does not poll it any more.
func (p *polls) release(q *query) {
	p.clients.end(q.client)
	p.sets.Release(q.set)
}

// denying returns a copy of resp with the keys of q that may not be read. If resp is nil the
// answer has only those.
func denying(q *query, resp *conf.PollResponse) *conf.PollResponse {
	with := conf.PollResponse{Position: q.position}
	if resp != nil {
		with = *resp // it is shared
	}
	for _, k := range q.set.Denied {
		with.Denied = append(with.Denied, conf.Denial{Key: k, Detail: refusal(k)})
	}
	return &with
}

// refusal returns why no caller may read key.
func refusal(key conf.Key) string {
	var e *conf.Error
	if errors.As(conf.ValidatePublic(key), &e) {
		return e.Detail
	}
	return ""
}

// isVoid reports whether void, which may be nil, is closed.
func isVoid(void <-chan struct{}) bool {
	select {
	case <-void:
		return true
	default:
		return false
	}
}

// voided returns the answer to a poll that has to be sent again in full.
func (p *polls) voided() *conf.PollResponse {
	return p.finish(&conf.PollResponse{Resync: true, Position: p.served.position()}, false)
}

// open returns an error if a request came by the public door, and that is closed.
func (p *polls) open(system bool) error {
	if system {
		return nil
	}
	return p.served.open()
}

// park counts one more waiting request, or returns an error if there are too many.
func (p *polls) park() error {
	if p.parked.Add(1) > int64(p.maxWaiters) {
		p.parked.Add(-1)
		return overloaded("%d requests are waiting", p.maxWaiters)
	}
	return nil
}

// finish returns resp with the fields that are not the same for all callers. Resp may be
// shared, so finish changes a copy.
func (p *polls) finish(resp *conf.PollResponse, waited bool) *conf.PollResponse {
	if resp == nil {
		return nil
	}
	draining, stale, applied := p.draining.Load(), p.health.stale(), resp.Applied
	if !waited {
		applied = time.Time{}
	}
	if resp.Draining == draining && resp.Stale == stale && resp.Applied == applied {
		return resp
	}
	c := *resp
	c.Draining, c.Stale, c.Applied = draining, stale, applied
	return &c
}

// compare returns the answer to q, or nil if none of its keys has changed. In that case it
// moves q to the present position.
func (p *polls) compare(ctx context.Context, q *query) (*conf.PollResponse, error) {
	if err := p.open(q.system); err != nil {
		return nil, err
	}
	st := p.served.state.Load()
	if resp := q.answered(st); resp != nil {
		return resp, nil
	}
	var d diff
	st = p.served.lookupAll(st, func(st *state) (ok bool) {
		d, ok = q.differ(st)
		return ok
	})
	switch {
	case st == nil:
		return nil, unavailable("not ready: the index is not loaded")
	case d.resync:
		return &conf.PollResponse{Resync: true, Position: st.position}, nil
	case len(d.changed) == 0:
		q.reached(st.position)
		return nil, nil
	}
	resp := &conf.PollResponse{Position: st.position, Changed: d.changed}
	oldest, newest := int64(math.MaxInt64), int64(0)
	for _, r := range d.records {
		if r != nil {
			oldest, newest = min(oldest, r.view()), max(newest, r.view())
		}
	}
	if newest > st.since {
		resp.Applied = st.applied
	}
	p.inline(ctx, &d)
	// All callers without held keys that know the set up to the same change get this answer.
	if q.plain() && ctx.Err() == nil && p.sets.Shared(q.set) {
		q.set.Answer.Store(&sharedAnswer{st, q.position.Revision, oldest, resp})
	}
	return resp, nil
}

// inline adds the entries that an answer carries. If a content cannot be loaded in time, its
// entry is left out and the client fetches it.
func (p *polls) inline(ctx context.Context, d *diff) {
	ctx, cancel := context.WithTimeout(ctx, inlineTime)
	defer cancel()
	room := int64(conf.InlineTotal)
	for i, r := range d.records {
		if r == nil || r.deleted || r.Size > conf.InlineContent || r.Size > room {
			continue
		}
		if e, err := p.served.contents.get(ctx, r); err == nil {
			d.changed[i].Entry = e
			room -= r.Size
		}
	}
}

// watch answers with the changes that req asks for as soon as there are any, or at the end of
// its wait, or when void is closed. System says that it came by the inner door.
func (p *polls) watch(ctx context.Context, req *conf.ChangesRequest, system bool, void <-chan struct{}) (*conf.ChangesResponse, error) {
	wait := min(max(req.Wait, 0), conf.MaxWait)
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	resp, behind, err := p.reads.changesAfter(ctx, req.After, req)
	if err != nil {
		return nil, err
	}
	if len(resp.Changes) > 0 || wait == 0 || isVoid(void) {
		resp.Draining = p.draining.Load()
		return resp, nil
	}
	if err := p.park(); err != nil {
		return nil, err
	}
	defer p.parked.Add(-1)
	for len(resp.Changes) == 0 && waiting.Err() == nil && !p.draining.Load() && !isVoid(void) {
		err := p.untilMore(waiting, resp, behind, system, void)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case p.open(system) != nil:
			return nil, p.open(system)
		case waiting.Err() != nil || p.draining.Load() || isVoid(void):
			// Nothing came in time.
		case err != nil:
			return nil, err
		default:
			if resp, behind, err = p.reads.changesAfter(ctx, resp.Position, req); err != nil {
				return nil, err
			}
		}
	}
	resp.Draining = p.draining.Load()
	return resp, nil
}

// untilMore waits until there may be more changes than in resp. A storage that was behind is
// asked again at the interval of the feed, because nothing in memory shows when it has caught
// up.
func (p *polls) untilMore(ctx context.Context, resp *conf.ChangesResponse, behind, system bool, void <-chan struct{}) error {
	ends := func() bool { return p.draining.Load() || p.open(system) != nil }
	if !behind {
		return p.served.awaitOr(ctx, void, func(st *state) bool { return ends() || resp.More || st.past(resp.Position) })
	}
	pause, cancel := context.WithTimeout(ctx, p.interval)
	defer cancel()
	if err := p.served.awaitOr(pause, void, func(*state) bool { return ends() }); pause.Err() == nil {
		return err
	}
	return nil
}

// drain answers all parked requests, and makes later ones return instead of parking.
func (p *polls) drain() {
	p.draining.Store(true)
	p.served.wakeAll()
}
