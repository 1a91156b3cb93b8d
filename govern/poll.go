package govern

import (
	"context"
	"slices"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/engine"
	"github.com/linnaname/gdiamond/internal/freshstack"
)

// Poll implements diamond.Transport. Keys that the caller may not read are Denied one by one.
// When the caller's rights change while the poll waits, the answer is Resync.
func (c *Centre) Poll(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
	var p polled
	var resp *conf.PollResponse
	var err error
	// On another stack, which is not kept while the poll waits.
	freshstack.Run(func() { p, resp, err = c.arrive(ctx, req) })
	if err != nil {
		return nil, engine.AnswerError(ctx, "poll", conf.Key{}, err)
	}
	if resp != nil {
		return resp, nil
	}
	ask := p.ask
	p.ask = nil // nothing keeps the keys of the request while it waits
	if resp, err = c.door.Poll(ctx, ask, p.void); err != nil {
		return nil, err
	}
	return c.answer(p, resp), nil
}

// polled is a poll about which was decided, as it is kept while the poll waits.
type polled struct {
	ask  *conf.PollRequest // to the server: with the keys only that may be read
	made *setDecision
	void <-chan struct{} // closed when the rights change
}

// arrive decides about a poll. It returns what to ask the server, or the answer.
func (c *Centre) arrive(ctx context.Context, req *conf.PollRequest) (p polled, resp *conf.PollResponse, err error) {
	if err := ctx.Err(); err != nil {
		return p, nil, err
	}
	if n := max(len(req.Keys), len(req.Held)); n > conf.MaxPollKeys {
		return p, nil, conf.Errorf(conf.ErrTooLarge, "keys: %d, more than %d", n, conf.MaxPollKeys)
	}
	a := c.access(ctx)
	if a.mode == "" {
		return p, nil, errNotReady() // an answer would have a position that is not sealed
	}
	made := c.decisions.find(a.principal, a.void, req.Set)
	if made == nil {
		if len(req.Keys) == 0 { // a hash proves nothing: its keys may be anybody's
			// The caller then sends no position, so first this server must have reached it.
			if err := c.reach(ctx, req.Position, min(req.Wait, reachTime)); err != nil {
				return p, nil, err
			}
			resp, err = c.resync(ctx)
			return p, resp, err
		}
		if a, made, err = c.decide(ctx, req); err != nil {
			return p, nil, err
		}
	}
	position, ok, err := c.openPolled(ctx, c.judge.sealer(), req.Position, req.Wait)
	if err != nil {
		return p, nil, err
	}
	if !ok {
		resp, err = c.resync(ctx)
		return p, resp, err
	}
	if made.none {
		resp, err = c.nothingToRead(ctx, made)
		return p, resp, err
	}
	ask := *req
	ask.Position, ask.Wait = position, a.provenFor(ctx, req.Wait)
	if len(made.denied) > 0 {
		ask.Set = made.subset
		ask.Keys = slices.DeleteFunc(slices.Clone(req.Keys), func(k conf.Key) bool { return made.denies(k.Canonical()) })
		ask.Held = slices.DeleteFunc(slices.Clone(req.Held), func(h conf.Held) bool { return made.denies(h.Key.Canonical()) })
		ask.Wait = 0 // who is denied keys is told at once
	}
	return polled{&ask, made, a.void}, nil, nil
}

// decide decides which keys of a poll the caller may read, and keeps the decision.
func (c *Centre) decide(ctx context.Context, req *conf.PollRequest) (*access, *setDecision, error) {
	keys := make([]conf.Key, len(req.Keys))
	for i, k := range req.Keys {
		keys[i] = k.Canonical()
		if err := keys[i].Validate(); err != nil {
			return nil, nil, err
		}
	}
	if conf.HashKeys(keys) != req.Set {
		return nil, nil, conf.Invalidf("set: is not the hash of the keys")
	}
	var refused []conf.Key
	split := func(a *access) error {
		refused = nil
		for i, k := range keys {
			if i == 0 || k.Namespace != keys[i-1].Namespace {
				if err := a.ready(k.Namespace); err != nil {
					return err
				}
			}
			if !a.may(VerbRead, k) {
				refused = append(refused, k)
			}
		}
		if len(refused) > 0 {
			return conf.ErrDenied
		}
		return nil
	}
	a, err := c.settled(ctx, claim{req.Position, req.Wait}, namespacesOf(keys), split)
	if err != nil && !isDenial(err) {
		return nil, nil, err // a document cannot be read
	}
	slices.SortFunc(refused, conf.Key.Compare)
	made := &setDecision{subset: req.Set, denied: slices.Compact(refused)}
	if len(refused) > 0 {
		read := slices.DeleteFunc(keys, made.denies)
		made.none, made.subset = len(read) == 0, conf.HashKeys(read)
		for _, k := range made.denied {
			c.judge.tally.deny(a.reason(k.Namespace), 1, false)
		}
	}
	c.decisions.keep(a.principal, a.void, req.Set, made)
	return a, made, nil
}

// answer returns the server's answer to a poll as the caller gets it. The server may have
// answered with what was published after the caller lost its right: both may be in one batch,
// so the rights are looked at once more. Resp is shared, and stays as it is.
func (c *Centre) answer(p polled, resp *conf.PollResponse) *conf.PollResponse {
	given := *resp
	given.Position = c.judge.sealer().seal(resp.Position)
	switch {
	case isClosed(p.void):
		c.judge.tally.redecided.Add(1)
		given.Resync, given.Changed, given.Denied = true, nil, nil
	case !resp.Resync:
		given.Denied = denials(p.made)
	}
	return &given
}

// nothingToRead returns the answer to a poll of keys of which the caller may read none.
func (c *Centre) nothingToRead(ctx context.Context, made *setDecision) (*conf.PollResponse, error) {
	resp, err := c.empty(ctx)
	if err == nil {
		resp.Denied = denials(made)
	}
	return resp, err
}

// resync returns the answer that asks for all keys.
func (c *Centre) resync(ctx context.Context) (*conf.PollResponse, error) {
	resp, err := c.empty(ctx)
	if err == nil {
		resp.Resync = true
	}
	return resp, err
}

// empty returns an answer to a poll that says nothing of any key.
func (c *Centre) empty(ctx context.Context) (*conf.PollResponse, error) {
	resp, err := c.door.Fetch(ctx, &conf.FetchRequest{Key: nothing})
	if err != nil {
		return nil, err
	}
	return &conf.PollResponse{Position: c.judge.sealer().seal(resp.Position), Stale: resp.Stale, Draining: c.draining.Load()}, nil
}

// denials returns the keys that made denies, with the reason.
func denials(made *setDecision) []conf.Denial {
	if len(made.denied) == 0 {
		return nil
	}
	list := make([]conf.Denial, len(made.denied))
	detail := ""
	for i, k := range made.denied {
		if i == 0 || k.System() || k.Namespace != made.denied[i-1].Namespace {
			detail = denied(VerbRead, k).(*conf.Error).Detail
		}
		list[i] = conf.Denial{Key: k, Detail: detail}
	}
	return list
}
