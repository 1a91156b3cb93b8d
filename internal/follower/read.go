package follower

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/longpoll"
)

// directReads asks servers for what a client does not follow: versions, the head
// position, lists, histories and changes.
type directReads struct {
	calls *calls
}

// Read implements diamond.Client.
func (r *directReads) Read(ctx context.Context, key conf.Key, revision int64) (conf.Entry, error) {
	if revision < 1 {
		return conf.Entry{}, &conf.Error{Op: "read", Key: key, Err: conf.ErrInvalid, Detail: "revision: less than 1"}
	}
	ctx, end, err := r.calls.begin(ctx, r.calls.timeouts.Call)
	if err != nil {
		return conf.Entry{}, conf.WithOp("read", key, err)
	}
	defer end()
	resp, err := persist(ctx, "read", key, func() (*conf.FetchResponse, error) {
		return r.calls.transport.Fetch(ctx, &conf.FetchRequest{Client: r.calls.info, Key: key, Revision: revision, After: r.calls.newestSeen()})
	})
	if err != nil {
		return conf.Entry{}, err
	}
	if err := r.calls.observe(resp.Position); err != nil {
		return conf.Entry{}, conf.WithOp("read", key, err)
	}
	if !resp.Found || resp.Entry.Revision != revision || !genuine(&resp.Entry, key.Canonical()) {
		return conf.Entry{}, &conf.Error{Op: "read", Key: key, Err: conf.ErrUnavailable, Detail: "the answer is not what was asked for, or damaged"}
	}
	return resp.Entry, nil
}

// Head implements diamond.Client. It lists in all namespaces, because a server with rights
// refuses the list of a namespace in which the client has none, and not that of all.
func (r *directReads) Head(ctx context.Context) (conf.Position, error) {
	all := conf.ListRequest{Client: r.calls.info, Namespace: conf.AllNamespaces, Limit: 1}
	resp, err := r.page(ctx, "head", &all, r.calls.newestSeen())
	if err != nil {
		return conf.Position{}, err
	}
	return resp.Position, nil
}

// List implements diamond.Client.
func (r *directReads) List(ctx context.Context, req conf.ListRequest) iter.Seq2[conf.Entry, error] {
	return func(yield func(conf.Entry, error) bool) {
		req := req // each use of the iterator starts from the beginning
		req.Client = r.calls.info
		seen := r.calls.newestSeen()
		partial := false
		for {
			resp, err := r.page(ctx, "list", &req, seen)
			if err != nil {
				yield(conf.Entry{}, err)
				return
			}
			partial = partial || resp.Partial
			for _, e := range resp.Entries {
				if e.Key.Compare(req.After) <= 0 { // it might never end
					yield(conf.Entry{}, &conf.Error{Op: "list", Err: conf.ErrUnavailable, Detail: "the answer is out of order"})
					return
				}
				if req.After = e.Key; !yield(e, nil) {
					return
				}
			}
			if resp.More && len(resp.Entries) > 0 {
				continue
			}
			if partial { // or what is left out would be taken for deleted
				yield(conf.Entry{}, &conf.Error{Op: "list", Err: conf.ErrUnavailable, Remote: true,
					Detail: "the list is not complete: the server cannot decide about the rights in some namespaces now"})
			}
			return
		}
	}
}

// page asks for one page of entries until a server answers as of seen or a newer position.
func (r *directReads) page(ctx context.Context, op string, req *conf.ListRequest, seen conf.Position) (*conf.ListResponse, error) {
	ctx, end, err := r.calls.begin(ctx, r.calls.timeouts.Call)
	if err != nil {
		return nil, conf.WithOp(op, conf.Key{}, err)
	}
	defer end()
	resp, err := persist(ctx, op, conf.Key{}, func() (*conf.ListResponse, error) {
		page := *req
		page.Seen = r.calls.seen(req.Seen)
		resp, err := r.calls.transport.List(ctx, &page)
		if err == nil && resp.Position.Store == seen.Store && resp.Position.Compare(seen) < 0 {
			return nil, &conf.Error{Err: conf.ErrBehind, Detail: "the answer is older than one before", Remote: true}
		}
		return resp, err
	})
	if err != nil {
		return nil, err
	}
	return resp, conf.WithOp(op, conf.Key{}, r.calls.observe(resp.Position))
}

// History implements diamond.Client. It yields all kept changes; req.Limit is the size of
// a page.
func (r *directReads) History(ctx context.Context, req conf.HistoryRequest) iter.Seq2[conf.Change, error] {
	return func(yield func(conf.Change, error) bool) {
		req := req
		req.Client = r.calls.info
		for {
			resp, err := r.historyPage(ctx, &req)
			if err != nil {
				yield(conf.Change{}, err)
				return
			}
			for i := range resp.Changes {
				ch := &resp.Changes[i]
				if req.Before > 0 && ch.Revision >= req.Before { // it might never end
					yield(conf.Change{}, &conf.Error{Op: "history", Key: req.Key, Err: conf.ErrUnavailable, Detail: "the answer is out of order"})
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

func (r *directReads) historyPage(ctx context.Context, req *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	ctx, end, err := r.calls.begin(ctx, r.calls.timeouts.Call)
	if err != nil {
		return nil, conf.WithOp("history", req.Key, err)
	}
	defer end()
	return persist(ctx, "history", req.Key, func() (*conf.HistoryResponse, error) {
		page := *req
		page.Seen = r.calls.seen(req.Seen)
		return r.calls.transport.History(ctx, &page)
	})
}

// Watch implements diamond.Client. When ctx ends, the iteration ends without an error.
func (r *directReads) Watch(ctx context.Context, req conf.ChangesRequest) iter.Seq2[*conf.ChangesResponse, error] {
	return func(yield func(*conf.ChangesResponse, error) bool) {
		callCtx, end, err := r.calls.begin(ctx, 0)
		if err != nil {
			if ctx.Err() == nil {
				yield(nil, conf.WithOp("watch", conf.Key{}, err))
			}
			return
		}
		defer end()
		if err := r.watch(callCtx, req, yield); err != nil && ctx.Err() == nil {
			yield(nil, callError(callCtx, "watch", conf.Key{}, err))
		}
	}
}

// watch yields changes until a permanent error, or until the caller stops, when it
// returns nil.
func (r *directReads) watch(ctx context.Context, req conf.ChangesRequest, yield func(*conf.ChangesResponse, error) bool) error {
	var pause backoff.Backoff
	tries := attempts{health: r.calls.health, problem: r.calls.health.noAnswer}
	defer tries.giveUp()
	after, drained := req.After, false
	heard := false // from any server
	req.Wait = 0   // a caller that waits for the first answer must not wait for a change
	for {
		asked := time.Now()
		resp, err := r.changes(ctx, req, after)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, conf.ErrCompacted), errors.Is(err, conf.ErrEpoch), errors.Is(err, conf.ErrOtherStore), isPermanent(err):
			return err
		case errors.Is(err, conf.ErrUnauthenticated) && !heard:
			return err
		}
		heard = heard || err == nil
		_ = tries.note(err)
		if err != nil {
			req.Wait = 0 // the next request only finds out whether a server answers
			pause.Cap = pauseCap(err)
			if err := pause.Wait(ctx, retryAfterOf(err)); err != nil {
				return err
			}
			continue
		}
		moved := resp.Position != after
		// Servers that answer early without changes must not cause a busy loop.
		idle := !moved && req.Wait > 0 && time.Since(asked) < time.Second
		if after = resp.Position; moved || !resp.Draining { // else the next server answers the request
			if req.Wait = longpoll.MaxWait; moved && resp.More {
				req.Wait = 0
			}
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
func (r *directReads) changes(ctx context.Context, req conf.ChangesRequest, after conf.Position) (*conf.ChangesResponse, error) {
	req.Client, req.After = r.calls.info, after
	ctx, cancel := context.WithTimeoutCause(ctx, req.Wait+pollSlack, errTimeout)
	defer cancel()
	resp, err := r.calls.transport.Changes(ctx, &req)
	if err != nil {
		return nil, callError(ctx, "watch", conf.Key{}, err)
	}
	if resp.Draining && resp.Position.IsZero() {
		resp = &conf.ChangesResponse{Position: after, Draining: true}
	} else if err := r.calls.observe(resp.Position); err != nil {
		return nil, err
	}
	last := after.Revision
	for i := range resp.Changes {
		ch := &resp.Changes[i]
		if ch.Revision < last || (ch.Revision == after.Revision && !after.IsZero()) {
			return nil, conf.Errorf(conf.ErrUnavailable, "the answer is out of order")
		}
		last = ch.Revision
	}
	if resp.Position.Compare(after) < 0 || last > resp.Position.Revision {
		return nil, conf.Errorf(conf.ErrBehind, "the answer ends before it begins")
	}
	return resp, nil
}
