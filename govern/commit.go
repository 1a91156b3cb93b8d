package govern

import (
	"context"
	"errors"
	"math"
	"strings"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/budget"
	"github.com/linnaname/gdiamond/internal/engine"
)

// maxDecisions is how often a commit is decided about, if the documents change meanwhile.
const maxDecisions = 3

// Commit implements diamond.Transport. The caller needs VerbRelease on the keys that the set
// writes, VerbRead on those that it checks, and for documents what they ask for.
//
// The set is committed only if the documents that permitted it are still those of the
// storage, so that a revocation or a freeze at one server holds at all. If the caller sends
// a set again that was committed, under its request id, it gets the first outcome, whatever
// it may do by now. ErrOverloaded: too many of the caller's commits were refused lately to
// look up whether this one was committed before.
func (c *Centre) Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error) {
	resp, err := c.commit(ctx, req)
	if guarded := new(guardError); errors.As(err, &guarded) {
		err = guarded.error // the reason of an error that another wraps does not cross a network
	}
	if err != nil {
		return nil, engine.AnswerError(ctx, "commit", req.Set.OnlyKey(), err)
	}
	given := *resp
	given.Position = c.judge.sealer().seal(resp.Position)
	return &given, nil
}

func (c *Centre) commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	set := req.Set.Canonical()
	set.Caller = conf.CallerFrom(ctx)
	if err := set.Validate(math.MaxInt64); err != nil {
		return nil, err
	}
	if set.Force && strings.TrimSpace(set.Comment) == "" {
		return nil, conf.Invalidf("comment: is empty; force needs a reason")
	}
	if c.judge.mode() == conf.ModeOpen {
		set.Origin = "" // programs of before could not read a store that has one
	}
	set.Generation = 0
	set.Asked = set.Hash() // whatever is added below
	if !req.Seen.IsZero() {
		if _, err := c.here(ctx, req.Seen); err != nil {
			return nil, err
		}
	}
	for try := 1; try <= maxDecisions; try++ {
		plan, err := c.plan(ctx, set)
		if plan != nil && plan.disputed && try < maxDecisions {
			c.catchUp(ctx)
			continue
		}
		if err != nil {
			return c.outcomeOf(ctx, req, set, err)
		}
		ask := *req
		ask.Set = *plan.set
		resp, err := c.door.Commit(ctx, &ask)
		if err == nil || !plan.added(err) {
			return resp, c.afterCommit(ctx, plan, set, err)
		}
		c.catchUp(ctx) // the documents are others by now
	}
	return nil, conf.Errorf(conf.ErrUnavailable, "the rights or settings changed each time that the set was about to be committed")
}

// afterCommit returns the error err of a commit as the caller may see it. An error that says
// something about keys is not for a caller that may not do this any more.
func (c *Centre) afterCommit(ctx context.Context, plan *plan, set *conf.ChangeSet, err error) error {
	if err == nil || !isClosed(plan.access.void) || errors.Is(err, conf.ErrUnknownOutcome) {
		return err
	}
	if _, denied := c.plan(ctx, set); isDenial(denied) {
		return denied
	}
	return err
}

// outcomeOf returns the first outcome of a refused set if it was committed before, and refusal
// otherwise. A set that was committed stays so, even if its author lost the right since, and
// who retries it must learn that.
func (c *Centre) outcomeOf(ctx context.Context, req *conf.CommitRequest, set *conf.ChangeSet, refusal error) (*conf.CommitResponse, error) {
	if set.RequestID == "" || !refused(refusal) {
		return nil, refusal
	}
	if !c.probes.take(budget.SourceOf(set.Caller.Principal.Name, set.Caller.Address)) {
		e := conf.Errorf(conf.ErrOverloaded, "too many commits were refused lately")
		e.RetryAfter = probeGap
		return nil, e
	}
	probe := *set
	probe.Checks = []conf.Check{{Key: nothing, Revision: math.MaxInt64}} // which never holds
	ask := *req
	ask.Set = probe
	resp, err := c.door.Commit(ctx, &ask)
	switch {
	case err == nil:
		return resp, nil
	case errors.Is(err, conf.ErrConflict), errors.Is(err, conf.ErrTooLarge):
		return nil, refusal
	}
	return nil, err
}

// refused reports whether err refuses a set for what it asks for, or by whom.
func refused(err error) bool {
	return isDenial(err) || errors.Is(err, conf.ErrInvalid) || errors.Is(err, conf.ErrTooLarge) ||
		errors.Is(err, conf.ErrConflict) || errors.Is(err, conf.ErrNotFound)
}
