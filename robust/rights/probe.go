package rights

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/robust/record"
	"github.com/linnaname/gdiamond/robust/traffic"
)

// Node is a server as guests try it.
type Node struct {
	// Over is a transport to the server alone, for whoever has the secret that Secret returns.
	Over func(secret func() string) diamond.Transport
	// Serving returns the revision that the server has reached by now, and a value that is
	// another one after a restart. ok is false if the server does not run.
	Serving func() (revision int64, life any, ok bool)
}

// patience is the longest time of one try.
const patience = 5 * time.Second

// guest is one guest of one node.
type guest struct {
	*Cast
	token string
	node  int
	serve func() (int64, any, bool)
	over  diamond.Transport
	last  diamond.Position
	keys  int
	tries int

	secret string // of the try under way
}

// Try makes a guest read, poll, watch and publish at a node until ctx ends, whether it may or
// not, mostly with its secret and sometimes with the one of before.
func (c *Cast) Try(ctx context.Context, number, node int, n Node, keys int, random *rand.Rand, mean time.Duration) {
	g := &guest{Cast: c, token: Guest(number), node: node, serve: n.Serving, keys: keys}
	g.over = n.Over(func() string { return g.secret })
	for {
		pause(ctx, random, mean)
		if ctx.Err() != nil {
			return
		}
		g.try(random)
	}
}

// try makes one try and records it.
func (g *guest) try(random *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	g.secret = g.someSecret(g.token, random.IntN(5) == 0)
	g.tries++
	p := record.Probe{Node: g.node, Grant: grantOf(g.token), Secret: secretOf(g.secret)}
	floor, life, ok := g.serve()
	if !ok {
		return
	}
	p.Call = g.recorder.Now()
	var at diamond.Position
	var err error
	served := true
	switch random.IntN(4) {
	case 0:
		p.Kind = "fetch"
		at, err = g.fetch(ctx, random)
	case 1:
		p.Kind = "poll"
		at, served, err = g.poll(ctx, random)
	case 2:
		p.Kind = "watch"
		at, served, err = g.watch(ctx)
	default:
		p.Kind = "commit"
		at, err = g.commit(ctx)
	}
	p.Return = g.recorder.Now()
	if _, now, ok := g.serve(); ok && now == life {
		p.Floor = floor
	}
	p.Position = at.Revision
	switch {
	case errors.Is(err, diamond.ErrDenied):
		p.Outcome = record.Denied
	case errors.Is(err, conf.ErrUnauthenticated):
		p.Outcome = record.Unauthenticated
	case err != nil:
		p.Outcome, p.Error = record.Failed, err.Error()
	case served:
		p.Outcome = record.OK
	default:
		p.Outcome = record.Nothing
	}
	if !at.IsZero() {
		g.last = at
	}
	g.recorder.Probe(p)
}

func (g *guest) fetch(ctx context.Context, random *rand.Rand) (diamond.Position, error) {
	req := &conf.FetchRequest{Key: traffic.Key(random.IntN(g.keys))}
	if random.IntN(2) == 0 {
		req.After = g.last
	}
	resp, err := g.over.Fetch(ctx, req)
	if err != nil {
		return diamond.Position{}, err
	}
	return resp.Position, nil // that there is no entry is an answer too
}

// poll polls some keys, mostly from the last position, and so may wait.
func (g *guest) poll(ctx context.Context, random *rand.Rand) (at diamond.Position, served bool, err error) {
	req := &conf.PollRequest{Wait: patience / 2}
	for k := range g.keys {
		req.Keys = append(req.Keys, traffic.Key(k))
	}
	req.Set = conf.HashKeys(req.Keys)
	if random.IntN(4) > 0 {
		req.Position = g.last
	}
	if random.IntN(2) == 0 {
		req.Keys = nil
	}
	resp, err := g.over.Poll(ctx, req)
	if err != nil {
		return at, false, err
	}
	if len(resp.Denied) > 0 {
		return resp.Position, false, fmt.Errorf("%d keys: %w", len(resp.Denied), diamond.ErrDenied)
	}
	return resp.Position, len(resp.Changed) > 0, nil
}

func (g *guest) watch(ctx context.Context) (at diamond.Position, served bool, err error) {
	resp, err := g.over.Changes(ctx, &conf.ChangesRequest{After: g.last, Namespace: namespace, Contents: true, Wait: patience / 2})
	if err != nil {
		if errors.Is(err, diamond.ErrCompacted) || errors.Is(err, diamond.ErrEpoch) {
			g.last = diamond.Position{}
		}
		return at, false, err
	}
	return resp.Position, len(resp.Changes) > 0, nil
}

func (g *guest) commit(ctx context.Context) (diamond.Position, error) {
	resp, err := g.over.Commit(ctx, &conf.CommitRequest{Set: diamond.ChangeSet{
		RequestID: fmt.Sprintf("%s-%d-%d", g.token, g.node, g.tries),
		Drafts:    []diamond.Draft{{Key: GuestKey(g.token), Content: fmt.Sprint(g.node, " ", g.tries)}},
	}})
	if err != nil {
		return diamond.Position{}, err
	}
	return resp.Position, nil
}
