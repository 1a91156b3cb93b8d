package transport

import (
	"context"
	"errors"
	"fmt"
	"time"

	diamond "github.com/linnaname/gdiamond"
)

// call describes one kind of question to whichever server answers it.
type call[Resp any] struct {
	op    string
	key   diamond.Key
	ask   func(ctx context.Context, t diamond.Transport, floor seen) (Resp, error)
	waits bool // it may take long without a fault
	// writes: an unknown outcome ends the call, unless that may be repeated.
	writes, repeatable bool
	// settles reports whether a refusal says what became of an earlier try too.
	settles func(error) bool
	// position returns that of an answer, which is what tie says. Where it may
	// not be older than what was seen before, monotonic is set.
	position  func(Resp) diamond.Position
	tie       tie
	monotonic bool
	// leaves reports whether the answer says that the server is going away.
	leaves func(Resp) bool
}

func (c *call[Resp]) kind() kind {
	if c.writes {
		return writing
	}
	return reading
}

// do asks one server, and others where that one does not do.
func do[Resp any](ctx context.Context, b *Balancer, c *call[Resp]) (Resp, error) {
	servers, away, err := b.candidates(ctx, c.kind())
	if err != nil {
		var none Resp
		return none, fill(c.op, c.key, err)
	}
	v := verdict{away: away}
	if c.waits || c.writes {
		return inTurn(ctx, b, c, servers, &v)
	}
	return sideBySide(ctx, b, c, servers, &v)
}

// inTurn asks one server after the other. Each has the time that it takes,
// unless the question may be repeated.
func inTurn[Resp any](ctx context.Context, b *Balancer, c *call[Resp], servers []*server, v *verdict) (Resp, error) {
	var none Resp
	if c.repeatable {
		servers = append(servers, servers[0]) // may settle an outcome that is unknown
	}
	for i, s := range servers {
		if c.repeatable && i == len(servers)-1 && !errors.Is(v.telling, diamond.ErrUnknownOutcome) {
			break
		}
		trying, cancel := c.share(ctx, len(servers)-i)
		resp, err := one(ctx, trying, b, c, s)
		cancel()
		if err == nil {
			return resp, nil
		}
		v.add(err)
		switch {
		case ctx.Err() != nil:
			return none, ended(ctx, err, v.telling)
		case !elsewhere(err):
			return none, last(c, err, v.telling) // a server's last word
		case errors.Is(err, diamond.ErrUnknownOutcome) && !c.repeatable:
			return none, err
		}
	}
	b.resolveSoon()
	return none, v.err()
}

// ended returns the error of a call whose context has ended: the outcome of an
// earlier try may still be unknown.
func ended(ctx context.Context, err, telling error) error {
	if !errors.Is(telling, diamond.ErrUnknownOutcome) || errors.Is(telling, ctx.Err()) {
		return err
	}
	return fmt.Errorf("%w: %w", telling, ctx.Err())
}

// last returns the error of a call that a server has refused. Where an earlier
// try's outcome is unknown, that may settle it: see [diamond.ChangeSet.Settles].
func last[Resp any](c *call[Resp], err, telling error) error {
	if !errors.Is(telling, diamond.ErrUnknownOutcome) || c.settles != nil && c.settles(err) {
		return err
	}
	return fmt.Errorf("%w: %w", telling, err)
}

// one asks one server, and draws the conclusions for the next call. trying is
// the context of this try, and ends with ctx, that of the call.
func one[Resp any](ctx, trying context.Context, b *Balancer, c *call[Resp], s *server) (Resp, error) {
	var none Resp
	t, floor, err := b.begin(s)
	if err != nil {
		return none, fill(c.op, c.key, err)
	}
	started := time.Now()
	resp, err := c.ask(trying, t, floor)
	switch {
	case err != nil && ctx.Err() == nil && trying.Err() != nil:
		err = late(c.writes, err)
	case err == nil && c.monotonic:
		err = fill(c.op, c.key, check(floor.newest(c.tie), c.position(resp)))
	}
	if err == nil && c.tie != untied {
		b.saw(c.tie, c.position(resp))
	}
	b.end(s, c.kind(), c.outcome(ctx, trying, resp, err, time.Since(started)), err)
	if err != nil {
		return none, err
	}
	return resp, nil
}

// outcome returns what the end of a try that took so long says of the server.
func (c *call[Resp]) outcome(ctx, trying context.Context, resp Resp, err error, took time.Duration) outcome {
	switch {
	case err == nil && c.leaves != nil && c.leaves(resp):
		return leaving
	case err == nil:
		return well
	case mute(ctx, c.waits, took):
		return unwell
	case errors.Is(trying.Err(), context.Canceled):
		return unheard // it was not waited for any more
	case elsewhere(err):
		return unwell
	case ctx.Err() != nil:
		return unheard
	}
	return well // with a word that holds for all servers
}

// share returns the context for one of several tries: half of the time that is
// left, so that one mute server does not use up all of it.
func (c *call[Resp]) share(ctx context.Context, tries int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || !c.repeatable || tries < 2 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, max(time.Until(deadline)/2, 50*time.Millisecond))
}

// late returns the error for a try whose share of the time is over.
func late(writes bool, err error) error {
	sentinel := diamond.ErrUnavailable
	if writes && errors.Is(err, diamond.ErrUnknownOutcome) {
		sentinel = diamond.ErrUnknownOutcome
	}
	var e *diamond.Error
	if errors.As(err, &e) {
		return &diamond.Error{Op: e.Op, Key: e.Key, Err: sentinel, Detail: "no answer in time"}
	}
	return diamond.Errorf(sentinel, "no answer in time")
}

// mute reports whether a call that its caller ended had waited so long that
// the server is to blame.
func mute(ctx context.Context, waits bool, took time.Duration) bool {
	return !waits && errors.Is(ctx.Err(), context.DeadlineExceeded) && took > 200*time.Millisecond
}

// elsewhere reports whether another server may do better.
func elsewhere(err error) bool {
	for _, sentinel := range []error{
		diamond.ErrUnavailable, diamond.ErrOverloaded, diamond.ErrBehind, diamond.ErrUnknownOutcome,
		diamond.ErrClosed, diamond.ErrOtherStore, diamond.ErrCorrupt,
	} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

// fill returns err with op and key, where it has none.
func fill(op string, key diamond.Key, err error) error {
	if err == nil {
		return nil
	}
	var e *diamond.Error
	if errors.As(err, &e) {
		c := *e
		if c.Op == "" {
			c.Op, c.Key = op, key
		}
		return &c
	}
	return &diamond.Error{Op: op, Key: key, Err: err}
}
