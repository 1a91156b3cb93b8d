package diamond

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/linnaname/gdiamond/internal/budget"
	"github.com/linnaname/gdiamond/internal/freshstack"
)

// defaultPage is how many entries or changes a page holds unless the request says.
const defaultPage = 100

// server implements [Server]: it is what callers ask of an engine. It alone makes keys
// canonical, checks requests, refuses the keys of the system's namespaces, limits
// pages, counts outcomes, and makes the errors that callers get.
type server struct {
	*engine
	maxContent int64
}

// Fetch implements [Transport].
func (s *server) Fetch(ctx context.Context, req *FetchRequest) (*FetchResponse, error) {
	key := req.Key.Canonical()
	resp, err := s.fetch(ctx, key, req)
	if err != nil {
		return nil, answerError(ctx, "fetch", key, err)
	}
	return resp, nil
}

func (s *server) fetch(ctx context.Context, key Key, req *FetchRequest) (*FetchResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := validatePublic(key); err != nil {
		return nil, err
	}
	if req.Revision < 0 {
		return nil, invalidf("revision: negative")
	}
	if err := s.feed.notBeforeSeen(ctx, req.After, reachTimeout); err != nil {
		return nil, err
	}
	if req.Revision > 0 {
		return s.reads.version(ctx, key, req.Revision)
	}
	return s.reads.present(ctx, key)
}

// Poll implements [Transport].
func (s *server) Poll(ctx context.Context, req *PollRequest) (*PollResponse, error) {
	resp, err := s.poll(ctx, req)
	s.outcomes.poll(ctx, resp, err)
	if err != nil {
		return nil, answerError(ctx, "poll", Key{}, err)
	}
	return resp, nil
}

func (s *server) poll(ctx context.Context, req *PollRequest) (*PollResponse, error) {
	wait := min(max(req.Wait, 0), MaxWait)
	deadline := time.Now().Add(wait)
	var q *query
	var resp *PollResponse
	var err error
	freshstack.Run(func() { q, resp, err = s.arrive(ctx, req, wait) })
	if q == nil {
		return resp, err
	}
	defer s.polls.release(q)
	if resp != nil || err != nil {
		return resp, err
	}
	return s.polls.wait(ctx, q, deadline, req.Parked)
}

// arrive checks a poll, and has it compared once the server has reached its position.
// It runs on a goroutine of its own so that its deep stack is not retained while the
// poll is parked: most memory of thousands of parked polls is their stacks.
func (s *server) arrive(ctx context.Context, req *PollRequest, wait time.Duration) (*query, *PollResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if err := s.feed.notBeforeSeen(ctx, req.Position, min(wait, reachTimeout)); err != nil {
		return nil, nil, err
	}
	asked, err := checkPoll(req)
	if err != nil {
		return nil, nil, err
	}
	return s.polls.begin(ctx, &asked, budget.Source(CallerFrom(ctx).Address))
}

// checkPoll returns what a poll asks for, with canonical keys.
func checkPoll(req *PollRequest) (asked pollAsked, err error) {
	if n := max(len(req.Keys), len(req.Held)); n > MaxPollKeys {
		return asked, Errorf(ErrTooLarge, "keys: %d, more than %d", n, MaxPollKeys)
	}
	asked.set, asked.position = req.Set, req.Position
	if asked.keys, asked.denied, err = readable(req); err != nil {
		return asked, err
	}
	asked.held, err = sortedHeld(req.Held)
	return asked, err
}

// readable checks the keys of a poll and returns them in canonical form; denied are
// those that the caller may not read, sorted, each once.
func readable(req *PollRequest) (keys []Key, denied []Key, err error) {
	if len(req.Keys) == 0 {
		return nil, nil, nil
	}
	all := make([]Key, len(req.Keys))
	for i, k := range req.Keys {
		all[i] = k.Canonical()
		if err := all[i].Validate(); err != nil {
			return nil, nil, err
		}
	}
	if HashKeys(all) != req.Set {
		return nil, nil, invalidf("set: is not the hash of the keys")
	}
	keys = slices.DeleteFunc(all, func(k Key) bool {
		if k.System() {
			denied = append(denied, k)
		}
		return k.System()
	})
	slices.SortFunc(denied, Key.Compare)
	return keys, slices.Compact(denied), nil
}

// sortedHeld returns what a caller holds, checked, with canonical keys and in their order.
func sortedHeld(held []Held) ([]Held, error) {
	if len(held) == 0 {
		return nil, nil
	}
	sorted := slices.Clone(held)
	for i := range sorted {
		h := &sorted[i]
		h.Key = h.Key.Canonical()
		if h.Revision < AnyRevision {
			return nil, invalidf("held: revision %d of key %s", h.Revision, clip(h.Key.String()))
		}
	}
	slices.SortFunc(sorted, func(a, b Held) int { return a.Key.Compare(b.Key) })
	for i := range sorted[1:] {
		if sorted[i].Key == sorted[i+1].Key {
			return nil, invalidf("held: key %s appears more than once", clip(sorted[i].Key.String()))
		}
	}
	return sorted, nil
}

// Commit implements [Transport].
func (s *server) Commit(ctx context.Context, req *CommitRequest) (*CommitResponse, error) {
	result, err := s.commit(ctx, &req.Set)
	s.outcomes.commit(err)
	if err != nil {
		var key Key
		if req.Set.Len() == 1 {
			key = onlyKey(&req.Set)
		}
		return nil, answerError(ctx, "commit", key, err)
	}
	return &CommitResponse{Position: result.Position, Replayed: result.Replayed}, nil
}

func (s *server) commit(ctx context.Context, asked *ChangeSet) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if err := s.committer.ready(); err != nil {
		return Result{}, err
	}
	set := asked.Canonical()
	set.Caller = CallerFrom(ctx)
	if err := set.Validate(s.maxContent); err != nil {
		return Result{}, err
	}
	if err := set.refuseSystem(); err != nil {
		return Result{}, err
	}
	return s.committer.commit(ctx, set)
}

// Changes implements [Transport].
func (s *server) Changes(ctx context.Context, req *ChangesRequest) (*ChangesResponse, error) {
	resp, err := s.changes(ctx, req)
	if err != nil {
		return nil, answerError(ctx, "changes", Key{}, err)
	}
	return resp, nil
}

func (s *server) changes(ctx context.Context, req *ChangesRequest) (*ChangesResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := validateFilter(req.Namespace, req.Group, req.Prefix); err != nil {
		return nil, err
	}
	return s.polls.watch(ctx, req)
}

// List implements [Transport].
func (s *server) List(ctx context.Context, req *ListRequest) (*ListResponse, error) {
	resp, err := s.list(ctx, req)
	if err != nil {
		return nil, answerError(ctx, "list", Key{}, err)
	}
	return resp, nil
}

func (s *server) list(ctx context.Context, req *ListRequest) (*ListResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if _, err := s.served.serving(); err != nil {
		return nil, err
	}
	scan := ScanRequest{Namespace: req.Namespace, Group: req.Group, Prefix: req.Prefix}
	if scan.Namespace == "" {
		scan.Namespace = DefaultNamespace
	}
	var err error
	if scan.Limit, err = pageLimit(req.Limit); err != nil {
		return nil, err
	}
	if err := validateFilter(scan.Namespace, scan.Group, scan.Prefix); err != nil {
		return nil, err
	}
	if req.After != (Key{}) {
		scan.After = req.After.Canonical()
		if err := scan.After.Validate(); err != nil {
			return nil, err
		}
	}
	return s.reads.list(ctx, scan, req.Contents)
}

// History implements [Transport].
func (s *server) History(ctx context.Context, req *HistoryRequest) (*HistoryResponse, error) {
	key := req.Key.Canonical()
	changes, err := s.history(ctx, key, req)
	if err != nil {
		return nil, answerError(ctx, "history", key, err)
	}
	return &HistoryResponse{Changes: changes}, nil
}

func (s *server) history(ctx context.Context, key Key, req *HistoryRequest) ([]Change, error) {
	if _, err := s.served.serving(); err != nil {
		return nil, err
	}
	if err := validatePublic(key); err != nil {
		return nil, err
	}
	if req.Before < 0 {
		return nil, invalidf("before: negative")
	}
	limit, err := pageLimit(req.Limit)
	if err != nil {
		return nil, err
	}
	return s.reads.history(ctx, key, req.Before, limit)
}

// Report implements [Transport].
func (s *server) Report(ctx context.Context, req *ReportRequest) (*ReportResponse, error) {
	const op = "report"
	if err := ctx.Err(); err != nil {
		return nil, opError(op, Key{}, err)
	}
	if s.served.closed.Load() {
		return nil, remoteError(op, Key{}, closedError())
	}
	if err := req.validate(); err != nil {
		return nil, remoteError(op, Key{}, err)
	}
	if !s.reports.add(req.Client.ID, req.Reports) {
		return nil, remoteError(op, Key{}, overloaded("%d reports are held", maxReports))
	}
	return &ReportResponse{}, nil
}

// Nudge implements [Server].
func (s *server) Nudge(p Position) { s.feed.claimed(p) }

// OnCommitted implements [Server].
func (s *server) OnCommitted(committed func(Position)) (stop func()) {
	return s.committer.subscribers.add(committed)
}

// pageLimit returns how many entries a page may have where a request asks for limit.
func pageLimit(limit int) (int, error) {
	switch {
	case limit < 0:
		return 0, invalidf("limit: negative")
	case limit == 0:
		return defaultPage, nil
	}
	return min(limit, MaxPage), nil
}

// answerError returns why op on key failed: the end of the caller's context,
// or what the server has to say.
func answerError(ctx context.Context, op string, key Key, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return opError(op, key, err)
	}
	return remoteError(op, key, err)
}

// remoteError returns err as the server's answer to op on key, or on the key that
// err names.
func remoteError(op string, key Key, err error) error {
	if named := new(Error); errors.As(err, &named) && named.Key != (Key{}) {
		key = named.Key
	}
	e := opError(op, key, err).(*Error)
	e.Remote = true
	return e
}
