package server

import (
	"context"
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"

	diamond "github.com/linnaname/gdiamond"
)

// admission lets requests in at a bounded rate, and none that come over a
// connection for which there was no room. When all clients come at once, as after
// a restart of all servers, those above it are told to come back, each at another
// moment, instead of all being slow.
type admission struct {
	diamond.Server
	bucket *rate.Limiter // nil: any rate
}

// take takes a token, or returns ErrOverloaded with when to come back, which is
// at random so that not all do at once.
func (a *admission) take(ctx context.Context) error {
	var e *diamond.Error
	switch {
	case isGuest(ctx):
		e = diamond.Errorf(diamond.ErrOverloaded, "the server has as many connections as it may have")
	case a.bucket != nil && !a.bucket.Allow():
		e = diamond.Errorf(diamond.ErrOverloaded, "more than %v requests a second", a.bucket.Limit())
	default:
		return nil
	}
	e.RetryAfter = time.Second + rand.N(2*time.Second)
	return e
}

// admit does what was asked for, if it may.
func admit[Req, Resp any](ctx context.Context, a *admission, do func(context.Context, Req) (*Resp, error), req Req) (*Resp, error) {
	if err := a.take(ctx); err != nil {
		return nil, err
	}
	return do(ctx, req)
}

// Fetch implements [diamond.Transport].
func (a *admission) Fetch(ctx context.Context, req *diamond.FetchRequest) (*diamond.FetchResponse, error) {
	return admit(ctx, a, a.Server.Fetch, req)
}

// Poll implements [diamond.Transport].
func (a *admission) Poll(ctx context.Context, req *diamond.PollRequest) (*diamond.PollResponse, error) {
	return admit(ctx, a, a.Server.Poll, req)
}

// Commit implements [diamond.Transport].
func (a *admission) Commit(ctx context.Context, req *diamond.CommitRequest) (*diamond.CommitResponse, error) {
	return admit(ctx, a, a.Server.Commit, req)
}

// Changes implements [diamond.Transport].
func (a *admission) Changes(ctx context.Context, req *diamond.ChangesRequest) (*diamond.ChangesResponse, error) {
	return admit(ctx, a, a.Server.Changes, req)
}

// List implements [diamond.Transport].
func (a *admission) List(ctx context.Context, req *diamond.ListRequest) (*diamond.ListResponse, error) {
	return admit(ctx, a, a.Server.List, req)
}

// History implements [diamond.Transport].
func (a *admission) History(ctx context.Context, req *diamond.HistoryRequest) (*diamond.HistoryResponse, error) {
	return admit(ctx, a, a.Server.History, req)
}
