package transport

import (
	"context"
	"errors"
	"time"

	diamond "github.com/linnaname/gdiamond"
)

// longStale is the time that a server may be unable to confirm with its storage
// before another server is asked: only that server may be affected. If all are,
// clients go from one to the next, once a poll.
const longStale = 10 * time.Second

// Fetch implements [diamond.Transport]. A server that has not reached the newest
// position of earlier answers may wait for it (After), or another server is asked. If
// no other answers, and the request names no position, Fetch returns the older
// answer. Its Stale is then at least the time since the newest position was seen.
func (b *Balancer) Fetch(ctx context.Context, req *diamond.FetchRequest) (*diamond.FetchResponse, error) {
	resp, err := b.fetch(ctx, req, true)
	if !errors.Is(err, diamond.ErrBehind) || !req.After.IsZero() {
		return resp, err
	}
	older, again := b.fetch(ctx, req, false)
	if again != nil {
		return nil, err
	}
	marked := *older
	marked.Stale = max(marked.Stale, b.floorAge())
	return &marked, nil
}

func (b *Balancer) fetch(ctx context.Context, req *diamond.FetchRequest, newest bool) (*diamond.FetchResponse, error) {
	return do(ctx, b, &call[*diamond.FetchResponse]{
		op: "fetch", key: req.Key,
		ask: func(ctx context.Context, t diamond.Transport, floor floor) (*diamond.FetchResponse, error) {
			r := *req
			if newest {
				raise(&r.After, floor.stored)
			}
			return t.Fetch(ctx, &r)
		},
		position:   func(r *diamond.FetchResponse) diamond.Position { return r.Position },
		answeredBy: byServer,
		monotonic:  newest,
		leaves:     func(r *diamond.FetchResponse) bool { return r.Stale > longStale },
	})
}

// Poll implements [diamond.Transport].
func (b *Balancer) Poll(ctx context.Context, req *diamond.PollRequest) (*diamond.PollResponse, error) {
	if req.Wait > 0 && !b.proven() {
		now := *req
		now.Wait = 0
		started := time.Now()
		resp, err := b.Poll(ctx, &now)
		now.Wait = req.Wait - time.Since(started)
		if err != nil || len(resp.Changed) > 0 || len(resp.Denied) > 0 || resp.Resync || resp.Draining || now.Wait <= 0 {
			return resp, err
		}
		req = &now
	}
	return do(ctx, b, &call[*diamond.PollResponse]{
		op: "poll",
		ask: func(ctx context.Context, t diamond.Transport, _ floor) (*diamond.PollResponse, error) {
			return t.Poll(ctx, req)
		},
		waits:      req.Wait > 0,
		position:   func(r *diamond.PollResponse) diamond.Position { return r.Position },
		answeredBy: byServer,
		monotonic:  true,
		leaves:     func(r *diamond.PollResponse) bool { return r.Draining || r.Stale > longStale },
	})
}

// Commit implements [diamond.Transport].
func (b *Balancer) Commit(ctx context.Context, req *diamond.CommitRequest) (*diamond.CommitResponse, error) {
	return do(ctx, b, &call[*diamond.CommitResponse]{
		op: "commit",
		ask: func(ctx context.Context, t diamond.Transport, _ floor) (*diamond.CommitResponse, error) {
			return t.Commit(ctx, req)
		},
		writes: true, repeatable: req.Set.RequestID != "", settles: req.Set.Settles,
		// A replayed outcome is an old position: it raises nothing, and is not behind.
		position:   func(r *diamond.CommitResponse) diamond.Position { return r.Position },
		answeredBy: byServer,
	})
}

// Changes implements [diamond.Transport].
func (b *Balancer) Changes(ctx context.Context, req *diamond.ChangesRequest) (*diamond.ChangesResponse, error) {
	if req.Wait > 0 && !b.proven() {
		now := *req
		now.Wait = 0
		started := time.Now()
		resp, err := b.Changes(ctx, &now)
		now.Wait = req.Wait - time.Since(started)
		if err != nil || resp.Position != req.After || resp.Draining || now.Wait <= 0 {
			return resp, err
		}
		req = &now
	}
	return do(ctx, b, &call[*diamond.ChangesResponse]{
		op: "changes",
		ask: func(ctx context.Context, t diamond.Transport, _ floor) (*diamond.ChangesResponse, error) {
			return t.Changes(ctx, req)
		},
		waits: req.Wait > 0,
		// Its position is the reader's, not the server's: it may be an old one.
		position:   func(r *diamond.ChangesResponse) diamond.Position { return r.Position },
		answeredBy: byStorage,
		leaves:     func(r *diamond.ChangesResponse) bool { return r.Draining },
	})
}

// List implements [diamond.Transport].
func (b *Balancer) List(ctx context.Context, req *diamond.ListRequest) (*diamond.ListResponse, error) {
	return do(ctx, b, &call[*diamond.ListResponse]{
		op: "list",
		ask: func(ctx context.Context, t diamond.Transport, _ floor) (*diamond.ListResponse, error) {
			return t.List(ctx, req)
		},
		position:   func(r *diamond.ListResponse) diamond.Position { return r.Position },
		answeredBy: byStorage,
		monotonic:  true,
	})
}

// History implements [diamond.Transport].
func (b *Balancer) History(ctx context.Context, req *diamond.HistoryRequest) (*diamond.HistoryResponse, error) {
	return do(ctx, b, &call[*diamond.HistoryResponse]{
		op: "history", key: req.Key,
		ask: func(ctx context.Context, t diamond.Transport, _ floor) (*diamond.HistoryResponse, error) {
			return t.History(ctx, req)
		},
	})
}

// Report implements [diamond.Transport].
func (b *Balancer) Report(ctx context.Context, req *diamond.ReportRequest) (*diamond.ReportResponse, error) {
	return do(ctx, b, &call[*diamond.ReportResponse]{
		op: "report",
		ask: func(ctx context.Context, t diamond.Transport, _ floor) (*diamond.ReportResponse, error) {
			return t.Report(ctx, req)
		},
	})
}
