package transport

import (
	"context"
	"errors"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// longStale is the longest time that a server may be stale before another server is
// asked, because only that server may have lost its storage. If all have, clients go from
// one server to the next with each poll.
const longStale = 10 * time.Second

// Fetch implements [diamond.Transport]. A server that has not reached the newest
// position of earlier answers may wait for it (After), or another server is asked. If
// no other answers, and the request names no position, Fetch returns the older
// answer. Its Stale is then at least the time since the newest position was seen.
func (b *Balancer) Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	resp, err := b.fetch(ctx, req, true)
	if !errors.Is(err, conf.ErrBehind) || !req.After.IsZero() {
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

func (b *Balancer) fetch(ctx context.Context, req *conf.FetchRequest, newest bool) (*conf.FetchResponse, error) {
	return do(ctx, b, &call[*conf.FetchResponse]{
		op: "fetch", key: req.Key,
		ask: func(ctx context.Context, t diamond.Transport, floor floor) (*conf.FetchResponse, error) {
			r := *req
			if newest {
				raise(&r.After, floor.stored)
			}
			return t.Fetch(ctx, &r)
		},
		position:   func(r *conf.FetchResponse) conf.Position { return r.Position },
		answeredBy: byServer,
		monotonic:  newest,
		leaves:     func(r *conf.FetchResponse) bool { return r.Stale > longStale },
	})
}

// Poll implements [diamond.Transport].
func (b *Balancer) Poll(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
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
	return do(ctx, b, &call[*conf.PollResponse]{
		op: "poll",
		ask: func(ctx context.Context, t diamond.Transport, _ floor) (*conf.PollResponse, error) {
			return t.Poll(ctx, req)
		},
		waits:      req.Wait > 0,
		position:   func(r *conf.PollResponse) conf.Position { return r.Position },
		answeredBy: byServer,
		monotonic:  true,
		leaves:     func(r *conf.PollResponse) bool { return r.Draining || r.Stale > longStale },
	})
}

// Commit implements [diamond.Transport].
func (b *Balancer) Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error) {
	return do(ctx, b, &call[*conf.CommitResponse]{
		op: "commit",
		ask: func(ctx context.Context, t diamond.Transport, _ floor) (*conf.CommitResponse, error) {
			return t.Commit(ctx, req)
		},
		writes: true, repeatable: req.Set.RequestID != "", settles: req.Set.Settles,
		// A replayed outcome is an old position: it raises nothing, and is not behind.
		position:   func(r *conf.CommitResponse) conf.Position { return r.Position },
		answeredBy: byServer,
	})
}

// Changes implements [diamond.Transport].
func (b *Balancer) Changes(ctx context.Context, req *conf.ChangesRequest) (*conf.ChangesResponse, error) {
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
	return do(ctx, b, &call[*conf.ChangesResponse]{
		op: "changes",
		ask: func(ctx context.Context, t diamond.Transport, _ floor) (*conf.ChangesResponse, error) {
			return t.Changes(ctx, req)
		},
		waits: req.Wait > 0,
		// Its position is the reader's, not the server's: it may be an old one.
		position:   func(r *conf.ChangesResponse) conf.Position { return r.Position },
		answeredBy: byStorage,
		leaves:     func(r *conf.ChangesResponse) bool { return r.Draining },
	})
}

// List implements [diamond.Transport].
func (b *Balancer) List(ctx context.Context, req *conf.ListRequest) (*conf.ListResponse, error) {
	return do(ctx, b, &call[*conf.ListResponse]{
		op: "list",
		ask: func(ctx context.Context, t diamond.Transport, _ floor) (*conf.ListResponse, error) {
			return t.List(ctx, req)
		},
		position:   func(r *conf.ListResponse) conf.Position { return r.Position },
		answeredBy: byStorage,
		monotonic:  true,
	})
}

// History implements [diamond.Transport].
func (b *Balancer) History(ctx context.Context, req *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	return do(ctx, b, &call[*conf.HistoryResponse]{
		op: "history", key: req.Key,
		ask: func(ctx context.Context, t diamond.Transport, _ floor) (*conf.HistoryResponse, error) {
			return t.History(ctx, req)
		},
	})
}

// Report implements [diamond.Transport].
func (b *Balancer) Report(ctx context.Context, req *conf.ReportRequest) (*conf.ReportResponse, error) {
	return do(ctx, b, &call[*conf.ReportResponse]{
		op: "report",
		ask: func(ctx context.Context, t diamond.Transport, _ floor) (*conf.ReportResponse, error) {
			return t.Report(ctx, req)
		},
	})
}
