package govern

import (
	"context"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// asPrincipal is a Centre as one principal sees it.
type asPrincipal struct {
	*Centre
	principal conf.Principal
}

// As returns the Centre as a principal sees it, such as "token:NAME", or "" for an anonymous
// caller. A client on it is a client of a governed centre in one process. It does not check
// that the principal exists: one that does not has no rights. Its Drain and Close do nothing,
// because they are the Centre's.
func (c *Centre) As(principal string) diamond.Server {
	return &asPrincipal{c, conf.Principal{Name: principal}}
}

// by returns ctx with the principal as the caller.
func (s *asPrincipal) by(ctx context.Context) context.Context {
	caller := conf.CallerFrom(ctx)
	caller.Principal = s.principal
	return conf.WithCaller(ctx, caller)
}

func (s *asPrincipal) Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	return s.Centre.Fetch(s.by(ctx), req)
}

func (s *asPrincipal) Poll(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
	return s.Centre.Poll(s.by(ctx), req)
}

func (s *asPrincipal) Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error) {
	return s.Centre.Commit(s.by(ctx), req)
}

func (s *asPrincipal) Changes(ctx context.Context, req *conf.ChangesRequest) (*conf.ChangesResponse, error) {
	return s.Centre.Changes(s.by(ctx), req)
}

func (s *asPrincipal) List(ctx context.Context, req *conf.ListRequest) (*conf.ListResponse, error) {
	return s.Centre.List(s.by(ctx), req)
}

func (s *asPrincipal) History(ctx context.Context, req *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	return s.Centre.History(s.by(ctx), req)
}

func (s *asPrincipal) Report(ctx context.Context, req *conf.ReportRequest) (*conf.ReportResponse, error) {
	return s.Centre.Report(s.by(ctx), req)
}

func (s *asPrincipal) Listeners(ctx context.Context, req *conf.ListenersRequest) (*conf.ListenersResponse, error) {
	return s.Centre.Listeners(s.by(ctx), req)
}

func (s *asPrincipal) Clients(ctx context.Context, req *conf.ClientsRequest) (*conf.ClientsResponse, error) {
	return s.Centre.Clients(s.by(ctx), req)
}

func (s *asPrincipal) WhoAmI(ctx context.Context) (conf.Identity, error) {
	return s.Centre.WhoAmI(s.by(ctx))
}

func (s *asPrincipal) Can(ctx context.Context, req conf.CanRequest) (conf.CanResponse, error) {
	return s.Centre.Can(s.by(ctx), req)
}

func (s *asPrincipal) Drain() {}

func (s *asPrincipal) Close() error { return nil }
