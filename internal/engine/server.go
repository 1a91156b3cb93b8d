package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/budget"
)

// Server implements diamond.Server on an engine. Only Server makes keys canonical, checks
// requests, refuses the keys of the system's namespaces, limits pages, counts outcomes, and
// makes the errors that callers get.
type Server struct {
	*engine
	maxContent int64
	system     bool // it is the inner door, of [System]
}

// New returns a server on storage, as diamond.NewServer describes.
func New(storage Storage, cfg *Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if storage == nil {
		return nil, conf.Invalidf("storage: is nil")
	}
	e, err := startEngine(storage, cfg)
	if err != nil {
		return nil, err
	}
	return &Server{engine: e, maxContent: cfg.MaxContent}, nil
}

// Fetch implements diamond.Transport.
func (s *Server) Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	key := req.Key.Canonical()
	resp, err := s.fetch(ctx, key, req)
	if err == nil {
		err = s.open() // the answer may be of the position at which the door closed
	}
	if err != nil {
		return nil, AnswerError(ctx, "fetch", key, err)
	}
	return resp, nil
}

func (s *Server) fetch(ctx context.Context, key conf.Key, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	if err := s.validateKey(key); err != nil {
		return nil, err
	}
	if req.Revision < 0 {
		return nil, conf.Invalidf("revision: negative")
	}
	if err := s.feed.notBeforeSeen(ctx, req.After, reachTimeout); err != nil {
		return nil, err
	}
	if req.Revision > 0 {
		return s.reads.version(ctx, key, req.Revision)
	}
	return s.reads.present(ctx, key)
}

// arrive checks a poll, and compares it once the server has reached its position. It returns a
// query, which the caller must release, unless the poll is answered without one.
func (s *Server) arrive(ctx context.Context, req *conf.PollRequest, wait time.Duration) (*query, *conf.PollResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if err := s.open(); err != nil {
		return nil, nil, err
	}
	if err := s.feed.notBeforeSeen(ctx, req.Position, min(wait, reachTimeout)); err != nil {
		return nil, nil, err
	}
	asked, err := checkPoll(req, s.system)
	if err != nil {
		return nil, nil, err
	}
	return s.polls.begin(ctx, &asked, sourceFrom(ctx))
}

// sourceFrom returns whose budget the key set of a request counts against: that of its
// principal, or that of its address if it is anonymous.
func sourceFrom(ctx context.Context) string {
	caller := conf.CallerFrom(ctx)
	return budget.SourceOf(caller.Principal.Name, caller.Address)
}

// checkPoll returns what a poll asks for, with canonical keys. System says that it came by the
// inner door.
func checkPoll(req *conf.PollRequest, system bool) (asked pollAsked, err error) {
	if n := max(len(req.Keys), len(req.Held)); n > conf.MaxPollKeys {
		return asked, conf.Errorf(conf.ErrTooLarge, "keys: %d, more than %d", n, conf.MaxPollKeys)
	}
	asked.set, asked.position, asked.client = keySetName{req.Set, system}, req.Position, &req.Client
	if asked.keys, err = keysOf(req); err != nil {
		return asked, err
	}
	if !system {
		asked.keys, asked.denied = readable(asked.keys)
	}
	asked.held, err = sortedHeld(req.Held)
	return asked, err
}

// keysOf checks the keys of a poll and returns them in canonical form.
func keysOf(req *conf.PollRequest) ([]conf.Key, error) {
	if len(req.Keys) == 0 {
		return nil, nil
	}
	keys := make([]conf.Key, len(req.Keys))
	for i, k := range req.Keys {
		keys[i] = k.Canonical()
		if err := keys[i].Validate(); err != nil {
			return nil, err
		}
	}
	if conf.HashKeys(keys) != req.Set {
		return nil, conf.Invalidf("set: is not the hash of the keys")
	}
	return keys, nil
}

// readable returns those of keys that a caller of the public door may read. Denied are the
// others, sorted, each once.
func readable(all []conf.Key) (keys, denied []conf.Key) {
	keys = slices.DeleteFunc(all, func(k conf.Key) bool {
		if k.System() {
			denied = append(denied, k)
		}
		return k.System()
	})
	slices.SortFunc(denied, conf.Key.Compare)
	return keys, slices.Compact(denied)
}

// sortedHeld checks the held keys of a poll and returns them in canonical form, sorted.
func sortedHeld(held []conf.Held) ([]conf.Held, error) {
	if len(held) == 0 {
		return nil, nil
	}
	sorted := slices.Clone(held)
	for i := range sorted {
		h := &sorted[i]
		h.Key = h.Key.Canonical()
		if h.Revision < conf.AnyRevision {
			return nil, conf.Invalidf("held: revision %d of key %s", h.Revision, conf.Clip(h.Key.String()))
		}
	}
	slices.SortFunc(sorted, func(a, b conf.Held) int { return a.Key.Compare(b.Key) })
	for i := range sorted[1:] {
		if sorted[i].Key == sorted[i+1].Key {
			return nil, conf.Invalidf("held: key %s appears more than once", conf.Clip(sorted[i].Key.String()))
		}
	}
	return sorted, nil
}

// Commit implements diamond.Transport.
func (s *Server) Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error) {
	result, err := s.commit(ctx, &req.Set, req.Seen)
	s.outcomes.commit(err)
	if err != nil {
		return nil, AnswerError(ctx, "commit", req.Set.OnlyKey(), err)
	}
	return &conf.CommitResponse{Position: result.Position, Replayed: result.Replayed}, nil
}

func (s *Server) commit(ctx context.Context, asked *conf.ChangeSet, seen conf.Position) (conf.Result, error) {
	if err := ctx.Err(); err != nil {
		return conf.Result{}, err
	}
	if err := s.open(); err != nil {
		return conf.Result{}, err
	}
	if err := s.committer.ready(); err != nil {
		return conf.Result{}, err
	}
	set := asked.Canonical()
	set.Caller = conf.CallerFrom(ctx)
	checks := 2 * conf.MaxChanges // rights add their own to those of the caller
	if !s.system {
		checks = conf.MaxChanges
		set.Asked, set.Origin, set.Generation = [32]byte{}, "", 0
	}
	if err := set.ValidateWithin(s.maxContent, checks); err != nil {
		return conf.Result{}, err
	}
	if !s.system {
		if err := set.RefuseSystem(); err != nil {
			return conf.Result{}, err
		}
	}
	if err := s.feed.notBeforeSeen(ctx, seen, reachTimeout); err != nil {
		return conf.Result{}, err
	}
	if err := s.open(); err != nil { // it may have closed while this waited
		return conf.Result{}, err
	}
	return s.committer.commit(ctx, set)
}

// Changes implements diamond.Transport.
func (s *Server) Changes(ctx context.Context, req *conf.ChangesRequest) (*conf.ChangesResponse, error) {
	return s.answerChanges(ctx, req, nil)
}

// answerChanges answers a watch. It answers with what there is when void, which may be nil, is
// closed.
func (s *Server) answerChanges(ctx context.Context, req *conf.ChangesRequest, void <-chan struct{}) (*conf.ChangesResponse, error) {
	resp, err := s.changes(ctx, req, void)
	if err == nil {
		err = s.open()
	}
	if err != nil {
		return nil, AnswerError(ctx, "changes", conf.Key{}, err)
	}
	return resp, nil
}

func (s *Server) changes(ctx context.Context, req *conf.ChangesRequest, void <-chan struct{}) (*conf.ChangesResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	if err := s.validateFilter(conf.Filter{Namespace: req.Namespace, Group: req.Group, Prefix: req.Prefix}); err != nil {
		return nil, err
	}
	return s.polls.watch(ctx, req, s.system, void)
}

// List implements diamond.Transport.
func (s *Server) List(ctx context.Context, req *conf.ListRequest) (*conf.ListResponse, error) {
	resp, err := s.list(ctx, req)
	if err == nil {
		err = s.open()
	}
	if err != nil {
		return nil, AnswerError(ctx, "list", conf.Key{}, err)
	}
	return resp, nil
}

func (s *Server) list(ctx context.Context, req *conf.ListRequest) (*conf.ListResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	if _, err := s.served.serving(); err != nil {
		return nil, err
	}
	if err := s.validateFilter(conf.Filter{Namespace: req.Namespace, Group: req.Group, Prefix: req.Prefix}); err != nil {
		return nil, err
	}
	scan := conf.ScanRequest{Namespace: req.Namespace, Group: req.Group, Prefix: req.Prefix}
	switch req.Namespace {
	case "":
		scan.Namespace = conf.DefaultNamespace
	case conf.AllNamespaces:
		scan.Namespace = ""
	}
	var err error
	if scan.Limit, err = conf.PageLimit(req.Limit); err != nil {
		return nil, err
	}
	if req.After != (conf.Key{}) {
		scan.After = req.After.Canonical()
		if err := scan.After.Validate(); err != nil {
			return nil, err
		}
	}
	if err := s.feed.notBeforeSeen(ctx, req.Seen, reachTimeout); err != nil {
		return nil, err
	}
	return s.reads.list(ctx, scan, req.Contents)
}

// History implements diamond.Transport.
func (s *Server) History(ctx context.Context, req *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	key := req.Key.Canonical()
	changes, err := s.history(ctx, key, req)
	if err == nil {
		err = s.open()
	}
	if err != nil {
		return nil, AnswerError(ctx, "history", key, err)
	}
	return &conf.HistoryResponse{Changes: changes}, nil
}

func (s *Server) history(ctx context.Context, key conf.Key, req *conf.HistoryRequest) ([]conf.Change, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	if _, err := s.served.serving(); err != nil {
		return nil, err
	}
	if err := s.validateKey(key); err != nil {
		return nil, err
	}
	if req.Before < 0 {
		return nil, conf.Invalidf("before: negative")
	}
	limit, err := conf.PageLimit(req.Limit)
	if err != nil {
		return nil, err
	}
	if err := s.feed.notBeforeSeen(ctx, req.Seen, reachTimeout); err != nil {
		return nil, err
	}
	return s.reads.history(ctx, key, req.Before, limit)
}

// Report implements diamond.Transport.
func (s *Server) Report(ctx context.Context, req *conf.ReportRequest) (*conf.ReportResponse, error) {
	const op = "report"
	if err := ctx.Err(); err != nil {
		return nil, conf.WithOp(op, conf.Key{}, err)
	}
	if s.served.closed.Load() {
		return nil, remoteError(op, conf.Key{}, closedError())
	}
	if err := s.open(); err != nil {
		return nil, remoteError(op, conf.Key{}, err)
	}
	if err := req.Validate(); err != nil {
		return nil, remoteError(op, conf.Key{}, err)
	}
	caller := conf.CallerFrom(ctx)
	if !s.reports.add(clientName{caller.Principal.Name, req.Client.ID}, sourceFrom(ctx), req.Reports) {
		return nil, remoteError(op, conf.Key{}, overloaded("%d reports are held, or %d of this source", maxReports, maxSourceReports))
	}
	return &conf.ReportResponse{}, nil
}

// Nudge implements diamond.Server.
func (s *Server) Nudge(p conf.Position) { s.feed.claimed(p) }

// OnCommitted implements diamond.Server.
func (s *Server) OnCommitted(committed func(conf.Position)) (stop func()) {
	return s.committer.subscribers.add(committed)
}

// Status implements diamond.Server.
func (s *Server) Status() conf.ServerStatus {
	status := s.engine.Status()
	if !s.system {
		status.Closed = s.served.public()
		status.Ready = status.Ready && status.Closed == nil
	}
	return status
}

// open returns an error if s is the public door of a governed store, which is closed.
func (s *Server) open() error {
	if s.system {
		return nil
	}
	return s.served.open()
}

// validateKey checks the canonical key of a request.
func (s *Server) validateKey(key conf.Key) error {
	if s.system {
		return key.Validate()
	}
	return conf.ValidatePublic(key)
}

// validateFilter checks the filter of a request.
func (s *Server) validateFilter(filter conf.Filter) error {
	err := filter.Validate()
	if s.system && errors.Is(err, conf.ErrDenied) {
		return nil
	}
	return err
}

// AnswerError returns the error of op on key: the end of the caller's context, or err as
// an answer of the server.
func AnswerError(ctx context.Context, op string, key conf.Key, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return conf.WithOp(op, key, err)
	}
	return remoteError(op, key, err)
}

// remoteError returns err as the server's answer to op on key, or on the key that
// err names.
func remoteError(op string, key conf.Key, err error) error {
	if named := new(conf.Error); errors.As(err, &named) && named.Key != (conf.Key{}) {
		key = named.Key
	}
	e := conf.WithOp(op, key, err).(*conf.Error)
	e.Remote = true
	return e
}
