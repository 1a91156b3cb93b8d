package diamond

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/lograte"
	"github.com/linnaname/gdiamond/internal/longpoll"
)

// directReads asks servers for what a client does not follow: versions, the head
// position, lists, histories and changes.
type directReads struct {
	calls *calls
	log   *slog.Logger
}

// Read implements [Client].
func (r *directReads) Read(ctx context.Context, key Key, revision int64) (Entry, error) {
	if revision < 1 {
		return Entry{}, &Error{Op: "read", Key: key, Err: ErrInvalid, Detail: "revision: less than 1"}
	}
	ctx, end, err := r.calls.begin(ctx, callTimeout)
	if err != nil {
		return Entry{}, opError("read", key, err)
	}
	defer end()
	resp, err := persist(ctx, "read", key, func() (*FetchResponse, error) {
		return r.calls.transport.Fetch(ctx, &FetchRequest{Client: r.calls.info, Key: key, Revision: revision, After: r.calls.newestSeen()})
	})
	if err != nil {
		return Entry{}, err
	}
	if err := r.calls.observe(resp.Position); err != nil {
		return Entry{}, opError("read", key, err)
	}
	if !resp.Found || resp.Entry.Revision != revision || !genuine(&resp.Entry, key.Canonical()) {
		return Entry{}, &Error{Op: "read", Key: key, Err: ErrUnavailable, Detail: "the answer is not what was asked for, or damaged"}
	}
	return resp.Entry, nil
}

// Head implements [Client].
func (r *directReads) Head(ctx context.Context) (Position, error) {
	ctx, end, err := r.calls.begin(ctx, callTimeout)
	if err != nil {
		return Position{}, opError("head", Key{}, err)
	}
	defer end()
	resp, err := persist(ctx, "head", Key{}, func() (*ListResponse, error) {
		return r.calls.transport.List(ctx, &ListRequest{Client: r.calls.info, Limit: 1})
	})
	if err != nil {
		return Position{}, err
	}
	return resp.Position, opError("head", Key{}, r.calls.observe(resp.Position))
}

// List implements [Client].
func (r *directReads) List(ctx context.Context, req ListRequest) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		req := req // each use of the iterator starts from the beginning
		req.Client = r.calls.info
		for {
			resp, err := r.listPage(ctx, &req)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range resp.Entries {
				if e.Key.Compare(req.After) <= 0 { // it might never end
					yield(Entry{}, &Error{Op: "list", Err: ErrUnavailable, Detail: "the answer is out of order"})
					return
				}
				if req.After = e.Key; !yield(e, nil) {
					return
				}
			}
			if !resp.More || len(resp.Entries) == 0 {
				return
			}
		}
	}
}

func (r *directReads) listPage(ctx context.Context, req *ListRequest) (*ListResponse, error) {
	ctx, end, err := r.calls.begin(ctx, callTimeout)
	if err != nil {
		return nil, opError("list", Key{}, err)
	}
	defer end()
	page := *req
	resp, err := persist(ctx, "list", Key{}, func() (*ListResponse, error) { return r.calls.transport.List(ctx, &page) })
	if err != nil {
		return nil, err
	}
	return resp, opError("list", Key{}, r.calls.observe(resp.Position))
}

// History implements [Client]. It yields all kept changes; req.Limit is the size of
// a page.
func (r *directReads) History(ctx context.Context, req HistoryRequest) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		req := req
		req.Client = r.calls.info
		for {
			resp, err := r.historyPage(ctx, &req)
			if err != nil {
				yield(Change{}, err)
				return
			}
			for i := range resp.Changes {
				ch := &resp.Changes[i]
				if req.Before > 0 && ch.Revision >= req.Before { // it might never end
					yield(Change{}, &Error{Op: "history", Key: req.Key, Err: ErrUnavailable, Detail: "the answer is out of order"})
					return
				}
				if req.Before = ch.Revision; !yield(*ch, nil) {
					return
				}
			}
			if len(resp.Changes) == 0 {
				return
			}
		}
	}
}

func (r *directReads) historyPage(ctx context.Context, req *HistoryRequest) (*HistoryResponse, error) {
	ctx, end, err := r.calls.begin(ctx, callTimeout)
	if err != nil {
		return nil, opError("history", req.Key, err)
	}
	defer end()
	page := *req
	return persist(ctx, "history", req.Key, func() (*HistoryResponse, error) { return r.calls.transport.History(ctx, &page) })
}

// Watch implements [Client]. An answer without changes only moves the position to
// continue from. When ctx ends, the iteration ends without an error.
func (r *directReads) Watch(ctx context.Context, req ChangesRequest) iter.Seq2[*ChangesResponse, error] {
	return func(yield func(*ChangesResponse, error) bool) {
		callCtx, end, err := r.calls.begin(ctx, 0)
		if err != nil {
			if ctx.Err() == nil {
				yield(nil, opError("watch", Key{}, err))
			}
			return
		}
		defer end()
		if err := r.watch(callCtx, req, yield); err != nil && ctx.Err() == nil {
			yield(nil, callError(callCtx, "watch", Key{}, err))
		}
	}
}

// watch yields changes until a permanent error, or until the caller stops, when it
// returns nil.
func (r *directReads) watch(ctx context.Context, req ChangesRequest, yield func(*ChangesResponse, error) bool) error {
	var pause backoff.Backoff
	var outage lograte.Outage
	after, drained := req.After, false
	req.Wait = longpoll.MaxWait
	for {
		asked := time.Now()
		resp, err := r.changes(ctx, req, after)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrCompacted), errors.Is(err, ErrEpoch), errors.Is(err, ErrOtherStore), isPermanent(err):
			return err
		}
		outage.Note(r.log, err, "no server can be asked for changes; trying on", "asking for changes again")
		if err != nil {
			req.Wait = 0 // the next request only finds out whether a server answers
			pause.Cap = pauseCap(err)
			if err := pause.Wait(ctx, retryAfterOf(err)); err != nil {
				return err
			}
			continue
		}
		// Servers that answer early without changes must not cause a busy loop.
		idle := req.Wait > 0 && time.Since(asked) < time.Second
		req.Wait = longpoll.MaxWait
		if resp.Position != after {
			after, idle = resp.Position, false
			if !yield(resp, nil) {
				return nil
			}
		}
		// After the first drain another server is asked at once. If that drains too, a pause follows.
		if resp.Draining && drained || idle && !resp.Draining {
			if err := pause.Wait(ctx, 0); err != nil {
				return err
			}
		} else {
			pause.Reset()
		}
		drained = resp.Draining
	}
}

// changes asks once for the changes after a position. It rejects an answer that
// does not follow that position.
func (r *directReads) changes(ctx context.Context, req ChangesRequest, after Position) (*ChangesResponse, error) {
	req.Client, req.After = r.calls.info, after
	ctx, cancel := context.WithTimeoutCause(ctx, req.Wait+pollSlack, errTimeout)
	defer cancel()
	resp, err := r.calls.transport.Changes(ctx, &req)
	if err != nil {
		return nil, callError(ctx, "watch", Key{}, err)
	}
	if resp.Draining && resp.Position.IsZero() {
		resp = &ChangesResponse{Position: after, Draining: true}
	} else if err := r.calls.observe(resp.Position); err != nil {
		return nil, err
	}
	last := after.Revision
	for i := range resp.Changes {
		ch := &resp.Changes[i]
		if ch.Revision < last || (ch.Revision == after.Revision && !after.IsZero()) {
			return nil, Errorf(ErrUnavailable, "the answer is out of order")
		}
		last = ch.Revision
	}
	if resp.Position.Compare(after) < 0 || last > resp.Position.Revision {
		return nil, Errorf(ErrBehind, "the answer ends before it begins")
	}
	return resp, nil
}
