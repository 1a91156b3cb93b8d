package govern

import (
	"context"
	"slices"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/engine"
)

// Fetch implements diamond.Transport. It is decided about before, so that a denied request
// looks nothing up, and again after the wait for the position that the caller has seen: a
// grant may have been made by then, or taken away.
func (c *Centre) Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	key := req.Key.Canonical()
	resp, err := c.fetch(ctx, key, req)
	if err != nil {
		return nil, engine.AnswerError(ctx, "fetch", key, err)
	}
	return resp, nil
}

func (c *Centre) fetch(ctx context.Context, key conf.Key, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	a, err := c.mayRead(ctx, claim{req.After, reachTime}, key)
	if err != nil {
		return nil, err
	}
	resp, err := c.door.Fetch(ctx, req)
	if denied := c.stillAllowed(ctx, a, VerbRead, key); denied != nil {
		return nil, denied
	}
	if err != nil {
		return nil, err
	}
	given := *resp
	given.Position = c.judge.sealer().seal(resp.Position)
	return &given, nil
}

// mayRead returns an error unless the caller may read the canonical key.
func (c *Centre) mayRead(ctx context.Context, by claim, key conf.Key) (*access, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := key.Validate(); err != nil {
		return nil, err
	}
	a, err := c.allowed(ctx, by, VerbRead, key)
	return a, c.refused(a, err, key.Namespace)
}

// History implements diamond.Transport. The versions of a key are for those who may read it.
func (c *Centre) History(ctx context.Context, req *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	key := req.Key.Canonical()
	resp, err := c.history(ctx, key, req)
	if err != nil {
		return nil, engine.AnswerError(ctx, "history", key, err)
	}
	return resp, nil
}

func (c *Centre) history(ctx context.Context, key conf.Key, req *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	a, err := c.mayRead(ctx, claim{req.Seen, reachTime}, key)
	if err != nil {
		return nil, err
	}
	resp, err := c.door.History(ctx, req)
	if denied := c.stillAllowed(ctx, a, VerbRead, key); denied != nil {
		return nil, denied
	}
	if err != nil {
		return nil, err
	}
	if c.access(ctx).readsAll() {
		return resp, nil
	}
	given := conf.HistoryResponse{Changes: slices.Clone(resp.Changes)}
	for i := range given.Changes { // the rest of the set may be none of the caller's
		given.Changes[i].Number, given.Changes[i].Count = 0, 1
	}
	return &given, nil
}

// Report implements diamond.Transport. Reports about keys that the caller may not read are
// dropped. If there are no others, Report fails with ErrDenied.
func (c *Centre) Report(ctx context.Context, req *conf.ReportRequest) (*conf.ReportResponse, error) {
	resp, err := c.report(ctx, req)
	if err != nil {
		return nil, engine.AnswerError(ctx, "report", conf.Key{}, err)
	}
	return resp, nil
}

func (c *Centre) report(ctx context.Context, req *conf.ReportRequest) (*conf.ReportResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(req.Reports) > conf.MaxPollKeys || len(req.Reports) == 0 {
		return c.door.Report(ctx, req) // which says what is wrong
	}
	var kept []conf.Report
	var first conf.Key // that is refused
	split := func(a *access) error {
		kept, first = nil, conf.Key{}
		if a.mode == "" {
			return errNotReady()
		}
		for _, r := range req.Reports {
			switch key := r.Key.Canonical(); {
			case !key.System() && a.may(VerbRead, key):
				kept = append(kept, r)
			case first == (conf.Key{}):
				first = key
			}
		}
		if len(kept) == 0 {
			return denied(VerbRead, first)
		}
		return nil
	}
	a, err := c.settled(ctx, claim{}, []string{req.Reports[0].Key.Canonical().Namespace}, split)
	if isDenial(err) {
		if invalid := first.Validate(); invalid != nil {
			return nil, invalid
		}
		return nil, c.refused(a, err, first.Namespace)
	}
	if err != nil {
		return nil, err
	}
	ask := *req
	ask.Reports = kept
	return c.door.Report(ctx, &ask)
}
