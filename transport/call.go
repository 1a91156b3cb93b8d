package transport

import (
	"context"
	"errors"
	"fmt"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// call describes one request, whichever server answers it.
type call[Resp any] struct {
	op    string
	key   conf.Key
	ask   func(ctx context.Context, t diamond.Transport, floor floor) (Resp, error)
	waits bool // the server may take long without a fault
	// writes is set if an unknown outcome ends the call, unless the call is repeatable.
	writes, repeatable bool
	// settles reports whether a refusal also decides the outcome of an earlier attempt.
	settles func(error) bool
	// position returns the position of an answer, and answeredBy says whose it is.
	// Monotonic is set if it must not be below the floor.
	position   func(Resp) conf.Position
	answeredBy answeredBy
	monotonic  bool
	// leaves reports whether the answer says that the server is going away.
	leaves func(Resp) bool
}

func (c *call[Resp]) kind() kind {
	if c.writes {
		return writing
	}
	return reading
}

// do asks one server, and others if that one cannot answer.
func do[Resp any](ctx context.Context, b *Balancer, c *call[Resp]) (Resp, error) {
	servers, away, err := b.candidates(ctx, c.kind())
	if err != nil {
		var none Resp
		return none, withOp(c.op, c.key, err)
	}
	v := verdict{away: away}
	if c.waits || c.writes {
		return inTurn(ctx, b, c, servers, &v)
	}
	return sideBySide(ctx, b, c, servers, &v)
}

// inTurn asks one server after the other. Each may take as long as it needs, unless
// the request is repeatable.
func inTurn[Resp any](ctx context.Context, b *Balancer, c *call[Resp], servers []*server, v *verdict) (Resp, error) {
	var none Resp
	if c.repeatable {
		servers = append(servers, servers[0]) // may decide an outcome that is unknown
	}
	for i, s := range servers {
		if c.repeatable && i == len(servers)-1 && !errors.Is(v.telling, conf.ErrUnknownOutcome) {
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
		case !tryElsewhere(err):
			return none, last(c, err, v.telling) // other servers would return the same error
		case errors.Is(err, conf.ErrUnknownOutcome) && !c.repeatable:
			return none, err
		}
	}
	b.resolveSoon()
	return none, v.err()
}

// ended returns the error of a call whose context has ended. The outcome of an earlier
// attempt may still be unknown.
func ended(ctx context.Context, err, telling error) error {
	if !errors.Is(telling, conf.ErrUnknownOutcome) || errors.Is(telling, ctx.Err()) {
		return err
	}
	return fmt.Errorf("%w: %w", telling, ctx.Err())
}

// last returns the error of a call that a server has refused. If the outcome of an
// earlier try is unknown, the refusal may settle it: see [conf.ChangeSet.Settles].
func last[Resp any](c *call[Resp], err, telling error) error {
	if !errors.Is(telling, conf.ErrUnknownOutcome) || c.settles != nil && c.settles(err) {
		return err
	}
	return fmt.Errorf("%w: %w", telling, err)
}

// one asks one server, and records what the result says about the server for later calls.
// Trying is the context of this attempt. It ends with ctx, the context of the call.
func one[Resp any](ctx, trying context.Context, b *Balancer, c *call[Resp], s *server) (Resp, error) {
	var none Resp
	t, floor, err := b.begin(s)
	if err != nil {
		return none, withOp(c.op, c.key, err)
	}
	started := time.Now()
	resp, err := c.ask(trying, t, floor)
	switch {
	case err != nil && ctx.Err() == nil && trying.Err() != nil:
		err = timedOut(c.writes, err)
	case err == nil && c.monotonic:
		err = withOp(c.op, c.key, check(floor.of(c.answeredBy), c.position(resp)))
	}
	if err == nil && c.answeredBy != byNobody {
		b.raiseFloor(c.answeredBy, c.position(resp))
	}
	b.end(s, c.kind(), c.outcome(ctx, trying, resp, err, time.Since(started)), err)
	if err != nil {
		return none, err
	}
	return resp, nil
}

// outcome returns what the result of an attempt, which took the given time, says about the
// server.
func (c *call[Resp]) outcome(ctx, trying context.Context, resp Resp, err error, took time.Duration) outcome {
	switch {
	case err == nil && c.leaves != nil && c.leaves(resp):
		return leaving
	case err == nil:
		return well
	case isSilent(ctx, c.waits, took):
		return unwell
	case errors.Is(trying.Err(), context.Canceled):
		return unheard // another server has answered the call
	case tryElsewhere(err):
		return unwell
	case ctx.Err() != nil:
		return unheard
	}
	return well // other servers would return the same error
}

// share returns the context of one of several attempts. It has half of the time that is
// left, so that one silent server does not use up all of it.
func (c *call[Resp]) share(ctx context.Context, tries int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || !c.repeatable || tries < 2 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, max(time.Until(deadline)/2, 50*time.Millisecond))
}

// timedOut returns the error of an attempt whose share of the time is over.
func timedOut(writes bool, err error) error {
	sentinel := conf.ErrUnavailable
	if writes && errors.Is(err, conf.ErrUnknownOutcome) {
		sentinel = conf.ErrUnknownOutcome
	}
	var e *conf.Error
	if errors.As(err, &e) {
		return &conf.Error{Op: e.Op, Key: e.Key, Err: sentinel, Detail: "no answer in time"}
	}
	return conf.Errorf(sentinel, "no answer in time")
}

// isSilent reports whether a call that its caller ended had waited so long that the
// server is to blame.
func isSilent(ctx context.Context, waits bool, took time.Duration) bool {
	return !waits && errors.Is(ctx.Err(), context.DeadlineExceeded) && took > 200*time.Millisecond
}

// tryElsewhere reports whether another server may do better.
func tryElsewhere(err error) bool {
	for _, sentinel := range []error{
		conf.ErrUnavailable, conf.ErrOverloaded, conf.ErrBehind, conf.ErrUnknownOutcome,
		conf.ErrClosed, conf.ErrOtherStore, conf.ErrCorrupt,
	} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

// withOp returns err with op and key, if it has none.
func withOp(op string, key conf.Key, err error) error {
	if err == nil {
		return nil
	}
	var e *conf.Error
	if errors.As(err, &e) {
		c := *e
		if c.Op == "" {
			c.Op, c.Key = op, key
		}
		return &c
	}
	return &conf.Error{Op: op, Key: key, Err: err}
}
