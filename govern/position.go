package govern

import (
	"context"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// reachTime is the longest time that a request waits for the server to reach the position
// that it names.
const reachTime = 3 * time.Second

// claim is the newest position that a caller says it has seen. The zero claim is of none.
type claim struct {
	seen conf.Position
	wait time.Duration // the longest that the caller waits for it
}

// nothing is a key that never has an entry. Reading it shows the server's position.
var nothing = KeyOf(KindCentre, "nothing")

// here returns the position that the server serves, once it has reached after.
func (c *Centre) here(ctx context.Context, after conf.Position) (conf.Position, error) {
	resp, err := c.door.Fetch(ctx, &conf.FetchRequest{Key: nothing, After: after})
	if err != nil {
		return conf.Position{}, err
	}
	return resp.Position, nil
}

// reach waits for up to wait until the server has reached the claim p, as it does for all
// polls. It polls a set that nobody has, which is answered without keys.
func (c *Centre) reach(ctx context.Context, p conf.Position, wait time.Duration) error {
	if p.IsZero() {
		return nil
	}
	_, err := c.door.Poll(ctx, &conf.PollRequest{Position: p, Wait: wait}, nil)
	return err
}

// openPolled returns the plain form of the position of a poll. Ok is false if the caller has
// to ask again in full: the position was not sealed by a server of this store, or history
// after it was lost. If the server is behind the position, openPolled waits for up to wait.
func (c *Centre) openPolled(ctx context.Context, s *sealer, p conf.Position, wait time.Duration) (plain conf.Position, ok bool, err error) {
	if s == nil || p.IsZero() {
		return p, true, nil
	}
	if plain, ok := s.recall(p); ok {
		return plain, true, nil
	}
	here, err := c.here(ctx, conf.Position{})
	if err != nil {
		return p, false, err
	}
	if here.Store != p.Store {
		return p, true, nil // the server says so
	}
	if !s.proven(p) {
		return p, false, nil
	}
	if here.Compare(p) < 0 {
		if err := c.reach(ctx, p, min(wait, reachTime)); err != nil {
			return p, false, err
		}
	}
	// A server does not know the chain of an old position. It then takes the position's word
	// for it, which is proven.
	at, found, err := c.door.PositionAt(ctx, p.Revision, true)
	if err != nil {
		return p, false, err
	}
	plain = p
	plain.Chain = at.Chain
	return plain, !found || s.isOf(p, at.Chain), nil
}

// openWatched returns the plain form of the position after which a caller asks for changes.
// The storage compares its chain, so it has to be the right one.
func (c *Centre) openWatched(ctx context.Context, s *sealer, p conf.Position) (conf.Position, error) {
	if s == nil || p.IsZero() {
		return p, nil
	}
	if plain, ok := s.recall(p); ok {
		return plain, nil
	}
	here, err := c.here(ctx, conf.Position{})
	if err != nil {
		return p, err
	}
	if here.Store != p.Store {
		return p, nil // the server says so
	}
	if !s.proven(p) {
		return p, conf.Errorf(conf.ErrCompacted, "the position is none that this store has given since it is governed: list, then watch anew")
	}
	at, found, err := c.door.PositionAt(ctx, p.Revision, false)
	switch {
	case err != nil:
		return p, err
	case !found && here.Revision < p.Revision:
		if err := c.reach(ctx, p, reachTime); err != nil {
			return p, err
		}
		if at, found, err = c.door.PositionAt(ctx, p.Revision, false); err != nil {
			return p, err
		}
	}
	if !found {
		return p, conf.Errorf(conf.ErrCompacted, "changes after revision %d are no longer kept", p.Revision)
	}
	if !s.isOf(p, at.Chain) {
		return p, conf.Errorf(conf.ErrEpoch, "revision %d of generation %d was lost", p.Revision, p.Epoch.Generation)
	}
	p.Chain = at.Chain
	return p, nil
}
