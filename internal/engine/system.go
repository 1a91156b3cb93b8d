package engine

import (
	"context"

	"github.com/linnaname/gdiamond/conf"
)

// System is the inner door of a server. It serves the namespaces of the system too, those
// that begin with "_", and checks, wraps and counts as the public door does. Only code of
// this module can open it. It is safe for concurrent use.
//
// A poll names a key set by its hash, which proves nothing about who may read it. So the
// doors have separate key sets, and the public door is closed while the store is governed,
// that is, while it has [Marker]: whoever answers polls by this door decides who may read
// what. The public door is open on a governed store only if the server was told to ignore the
// rights. The public door never answers with keys of the system.
type System interface {
	Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error)
	Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error)
	List(ctx context.Context, req *conf.ListRequest) (*conf.ListResponse, error)
	History(ctx context.Context, req *conf.HistoryRequest) (*conf.HistoryResponse, error)
	Report(ctx context.Context, req *conf.ReportRequest) (*conf.ReportResponse, error)

	// Listeners and Clients are those of both doors: who asks must be allowed to see them.
	Listeners(ctx context.Context, req *conf.ListenersRequest) (*conf.ListenersResponse, error)
	Clients(ctx context.Context, req *conf.ClientsRequest) (*conf.ClientsResponse, error)

	// Poll is that of the public door. It also ends when void is closed: then it answers with
	// Resync, unless there is another answer before it would have to wait. A nil void is
	// never closed.
	Poll(ctx context.Context, req *conf.PollRequest, void <-chan struct{}) (*conf.PollResponse, error)
	// Changes is that of the public door. It also ends when void is closed: then it answers
	// with the changes that there are, perhaps none.
	Changes(ctx context.Context, req *conf.ChangesRequest, void <-chan struct{}) (*conf.ChangesResponse, error)

	// Observe registers fn to be called with all changes of system keys, in the order of the
	// log, each before anybody can see a position that contains it. The first call has Reset
	// set, and is of the present state. Observe makes it before it returns, unless nothing is
	// served yet, or an entry cannot be read now: then fn is first called when that succeeds.
	// Fn is also called, with Reset set, before another state is served that does not follow
	// from the one before, as after a reload or a repair, and, without Reset, when an epoch
	// begins that continues what was served. A state whose system entries cannot be read is
	// not served; the server tries again.
	//
	// Calls do not overlap. The server stands still meanwhile, so fn must be short. It may
	// read what is served, but must not wait for a position, and must not call Observe or
	// stop. There are no calls after stop has returned.
	Observe(fn func(Observation)) (stop func())

	// CatchUp asks the storage for its head, and waits until everything up to that is served.
	// It fails with ErrUnavailable if the storage does not answer, or at the deadline of ctx,
	// and with the error of ctx if that is canceled.
	CatchUp(ctx context.Context) error

	// PositionAt returns the position of the history that is served at a revision. Found is
	// false if there is none up to what is served, or if it is not known any more. With
	// memoryOnly it does not ask the storage.
	PositionAt(ctx context.Context, revision int64, memoryOnly bool) (at conf.Position, found bool, err error)

	// Usage returns the number of keys in a namespace that have a value, and the bytes of
	// their contents together. Namespaces returns the namespaces that have such keys, sorted.
	// They take the same time however many keys there are, and may be ahead of the position
	// by the changes that are served next.
	Usage(namespace string) (keys int, bytes int64)
	Namespaces() []string

	// Size returns the size in bytes of the present content of a canonical key, and whether
	// there is one, without reading it.
	Size(key conf.Key) (size int64, found bool, err error)

	// Status is that of a server whose public door is not closed.
	Status() conf.ServerStatus
}

// System returns the inner door of s.
func (s *Server) System() System {
	return inner{&Server{engine: s.engine, maxContent: s.maxContent, system: true}}
}

// inner implements [System].
type inner struct{ *Server }

// Poll implements [System].
func (s inner) Poll(ctx context.Context, req *conf.PollRequest, void <-chan struct{}) (*conf.PollResponse, error) {
	return s.answerPoll(ctx, req, void)
}

// Changes implements [System].
func (s inner) Changes(ctx context.Context, req *conf.ChangesRequest, void <-chan struct{}) (*conf.ChangesResponse, error) {
	return s.answerChanges(ctx, req, void)
}

// Observe implements [System].
func (s inner) Observe(fn func(Observation)) (stop func()) {
	one := s.served.observers.add(fn)
	if s.served.settleObservers(s.feed.documents.reading(context.Background())) != nil {
		s.served.observers.fail(one)
		s.feed.wake() // which tries again
	}
	return func() { s.served.observers.remove(one) }
}

// CatchUp implements [System].
func (s inner) CatchUp(ctx context.Context) error {
	if err := s.feed.catchUp(ctx); err != nil {
		return AnswerError(ctx, "catch up", conf.Key{}, err)
	}
	return nil
}

// PositionAt implements [System].
func (s inner) PositionAt(ctx context.Context, revision int64, memoryOnly bool) (conf.Position, bool, error) {
	at, found, err := s.reads.positionAt(ctx, revision, memoryOnly)
	if err != nil {
		return conf.Position{}, false, AnswerError(ctx, "position", conf.Key{}, err)
	}
	return at, found, nil
}

// Usage implements [System].
func (s inner) Usage(namespace string) (keys int, bytes int64) {
	if st := s.served.state.Load(); st != nil {
		return st.index.usage.of(namespace)
	}
	return 0, 0
}

// Namespaces implements [System].
func (s inner) Namespaces() []string {
	if st := s.served.state.Load(); st != nil {
		return st.index.usage.namespaces()
	}
	return nil
}

// Size implements [System].
func (s inner) Size(key conf.Key) (size int64, found bool, err error) {
	st, err := s.served.serving()
	if err != nil {
		return 0, false, err
	}
	if _, r := s.served.lookup(st, key); !r.absent() {
		return r.Size, true, nil
	}
	return 0, false, nil
}
