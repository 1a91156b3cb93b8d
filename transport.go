package diamond

import (
	"context"

	"github.com/linnaname/gdiamond/conf"
)

// Transport carries the requests of a [Client] to a [Server]. A Server is itself a
// Transport, so that diamond.NewClient(srv) needs no network. Package
// transport/httptransport has one over HTTP. Requests and responses are structs, so that
// the interface can grow by fields.
//
// Implementations are safe for concurrent use, and pass the suite in
// transport/transporttest. Neither side changes a request or a response once it has been
// passed. Every method returns when its context ends, with the context's error wrapped.
// Errors wrap the sentinels of this package. ErrUnavailable with [Error].Remote unset
// means that no server could be asked. Keys need not be canonical in requests. They are
// canonical in responses.
//
// Changes and List select keys by the namespace, group and prefix of the request, as
// [Filter] describes. ErrInvalid: one of these breaks the grammar. ErrDenied: the
// namespace is one of the system's.
//
// Commit, List and History take the position that the caller has seen, and Fetch takes it as
// After. The server does nothing before it has reached that position, so that it decides by
// rules that are no older than what the caller knows. It waits for up to 3 s, and then
// nothing was done. ErrBehind: the server has not reached the position. ErrOtherStore: the
// position belongs to another store.
//
// A Transport has no Close method: whoever makes one closes it.
type Transport interface {
	// Fetch returns the present state of a key, or one of its earlier versions.
	// ErrDenied: the caller may not read the key.
	Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error)

	// Poll returns those keys of a set whose state differs from what the caller holds. If
	// none differs, it waits for a change, a drain, or the end of req.Wait. Keys that the
	// caller may not read are returned separately and do not affect the others. A key that
	// breaks the grammar fails the whole request.
	Poll(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error)

	// Commit commits one change set. When it has returned, a Fetch from the same server
	// shows the effects of the set.
	//
	// ErrConflict, ErrNotFound, ErrInvalid, ErrTooLarge: as in [Storage].Commit.
	// ErrUnknownOutcome: the set may have been committed.
	Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error)

	// Changes returns the changes after a position that pass the filter, as whole sets, in
	// order, each once. If there are none it waits for the first, for up to req.Wait.
	// ErrCompacted, ErrEpoch, ErrOtherStore: as in [Storage].Changes.
	Changes(ctx context.Context, req *ChangesRequest) (*ChangesResponse, error)

	// List returns a page of the current entries in key order. The entries have contents
	// only if the request asks for them.
	List(ctx context.Context, req *ListRequest) (*conf.ListResponse, error)

	// History returns the kept versions of a key, newest first, without contents.
	History(ctx context.Context, req *HistoryRequest) (*conf.HistoryResponse, error)

	// Report tells the server whether clients have applied the values that it served, for
	// programs that observe a rollout. The server does not store reports, and forgets them
	// after some minutes.
	Report(ctx context.Context, req *conf.ReportRequest) (*conf.ReportResponse, error)
}
