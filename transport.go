package diamond

import (
	"context"

	"github.com/linnaname/gdiamond/conf"
)

// Transport is what crosses the wire: how a [Client] asks a [Server]. A Server
// is a Transport, so that diamond.NewClient(srv) needs no network at all;
// transport/httptransport is the one over HTTP. Requests and responses are
// structs, so that the interface grows by fields.
//
// Implementations are safe for concurrent use, and pass the suite in
// transport/transporttest. Requests and responses are not changed by either
// side once passed. Every method returns when its context ends, with the
// context's error wrapped. Errors wrap the sentinels of this package;
// ErrUnavailable with [Error].Remote unset means that no server could be asked.
// Keys need not be canonical in requests; they are in responses.
//
// A Transport has no Close: who made it closes it.
type Transport interface {
	// Fetch returns the present state of a key, or one of its earlier versions.
	// ErrDenied: the caller may not read it.
	Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error)

	// Poll says which keys of a set are not as the caller holds them; when all
	// are, it waits for a change, a drain, or req.Wait. Keys that the caller may not
	// read are told apart, and keep it from nothing that concerns the others; one
	// that breaks the grammar fails the whole request.
	Poll(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error)

	// Commit commits one change set. When it has returned, a Fetch from the
	// same server has its effects.
	//
	// ErrConflict, ErrNotFound, ErrInvalid, ErrTooLarge: as in [Storage].Commit;
	// ErrUnknownOutcome: it may have been committed.
	Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error)

	// Changes returns the changes after a position, filtered, in order, whole
	// sets, each once; with a Wait, it waits for the first. ErrCompacted,
	// ErrEpoch, ErrOtherStore: as in [Storage].Changes.
	Changes(ctx context.Context, req *ChangesRequest) (*ChangesResponse, error)

	// List returns a page of the current entries in key order, without contents unless asked.
	List(ctx context.Context, req *ListRequest) (*conf.ListResponse, error)

	// History returns the kept versions of a key, newest first, without contents.
	History(ctx context.Context, req *HistoryRequest) (*conf.HistoryResponse, error)

	// Report tells the server what became of the values that it served: soft
	// state, for whoever watches a rollout.
	Report(ctx context.Context, req *conf.ReportRequest) (*conf.ReportResponse, error)
}
