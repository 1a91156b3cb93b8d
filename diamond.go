package diamond

import (
	"context"
	"iter"
	"log/slog"
	"maps"
	"time"
)

// Server is a configuration centre without sockets: it serves reads and polls
// from memory, and writes to a [Storage]. [NewServer] makes one. It is safe
// for concurrent use.
//
// Package server hosts one on a network; package transport/httptransport has
// its HTTP handler.
type Server interface {
	Transport

	// Status returns what the server knows of itself. It asks no storage.
	Status() ServerStatus

	// Nudge says that somebody has committed up to p: the server looks at once
	// instead of at its next interval. It never blocks. A nudge is a hint: one
	// that is lost, repeated, late or forged changes nothing but when the server
	// looks, and a flood of them has it look a hundred times a second at most.
	// Only those of peers that have proven who they are should be passed on, as a
	// position that the storage never shows is reported (see ServerStatus.Stalled).
	// The zero Position stands for one that is not known.
	Nudge(p Position)

	// OnCommitted has committed called after each of this server's transactions
	// with the position of its newest change: to nudge the other servers that
	// share the storage. Calls do not overlap; of the transactions that end during
	// one, the next call has the newest only. Commits do not wait for it. Close
	// and stop do, and there is no call after them.
	OnCommitted(committed func(Position)) (stop func())

	// Drain prepares for Close: every parked Poll and Changes is answered at
	// once with Draining set, and so is each later one that would wait. Reads
	// and commits go on.
	Drain()

	// Close drains, lets commits under way finish, and stops all that the server
	// started. It does not close the storage. Calls after it fail with
	// ErrClosed; a second Close does nothing.
	Close() error
}

// NewServer returns a server on storage. It loads what it serves from memory,
// and returns when that is done, or has failed for the first time: then the
// server is not ready, which callers are told with ErrUnavailable, and goes on
// trying in the background. A storage that does not answer at all is waited for
// no more than 10 s.
//
// Errors: ErrInvalid for an option, ErrCorrupt or ErrClosed from the storage;
// for those of a copy on disk see [WithReplica]. The storage is the caller's to
// close, after the server.
func NewServer(storage Storage, opts ...ServerOption) (Server, error) {
	cfg := defaultServerConfig()
	for _, opt := range opts {
		opt.applyServer(&cfg)
	}
	if err := cfg.validate(); err != nil {
		return nil, opError("new server", Key{}, err)
	}
	if storage == nil {
		return nil, opError("new server", Key{}, invalidf("storage: is nil"))
	}
	e, err := startEngine(storage, &cfg)
	if err != nil {
		return nil, opError("new server", Key{}, err)
	}
	return &server{engine: e, maxContent: cfg.maxContent}, nil
}

// ServerStatus is a server's state at one moment.
type ServerStatus struct {
	Ready    bool     // reads can be served
	Draining bool     // Drain was called
	Position Position // up to which the server has all changes

	// Storage is why the storage cannot be read or written, as far as is known;
	// nil: it can. A commit that it failed counts until one succeeds, or the
	// storage has been read for a minute since; where the reason is ErrNoSpace,
	// which no read meets, until one succeeds.
	Storage     error
	WriteErr    error     // why the storage failed the last commit, however long ago; nil: it did not
	WriteFailed time.Time // when that was
	// Stale is for how long the server has not been able to confirm with its
	// storage, counted from its own start at the earliest; 0: it has.
	Stale     time.Duration
	Confirmed time.Time // when it last did; zero: not since the server was made
	// Lag is for how long the server has known of a commit that its storage does
	// not show it; 0: there is none. Stalled: for so long that this is reported.
	Lag     time.Duration
	Stalled bool
	Replica *ReplicaStatus // of the copy on disk; nil: none is kept
	// Divergent is how many keys the last check of the server against its storage
	// found to differ; see [WithSelfCheck]. CheckErr is why the last one could not
	// be completed; nil: it was, or there was none.
	Divergent int
	CheckErr  error

	Keys      int   // with an entry
	Waiters   int   // parked polls and watches
	SetKeys   int64 // keys of all key sets that clients poll; see [WithSetKeys]
	Inflight  int   // commits being waited for
	CacheSize int64 // bytes of content held in memory

	Counters  ServerCounters
	Listeners ListenerCounts
}

// ServerCounters count since the server was made.
type ServerCounters struct {
	// Change sets by outcome. Canceled are those whose caller left before they
	// were taken up: nothing was done.
	Committed, Conflict, Refused, Failed, Unknown, Shed, Canceled uint64

	// Polls by answer. PollFailed are those that ended in another error.
	PollChanged, PollTimeout, PollCanceled, PollShed, PollDrained, PollResync, PollFailed uint64

	Wakeups               uint64 // waiters told of a change: grows by the waiters of the changed keys only
	CacheHits, CacheLoads uint64 // contents found in memory, contents loaded from the storage
	StorageErrors         uint64
	Forks                 uint64 // changes of epoch seen
	FeedGaps, FeedStalls  uint64 // times that the storage did not show what must be there: in between, at the end
	Checks, Divergences   uint64 // completed checks of the server against its storage, and differences found
	CheckFailures         uint64 // checks that could not be completed
}

// ListenerCounts count what clients have reported, over the last minutes: one
// for each client and key.
type ListenerCounts struct {
	InSync   int // applied the present revision
	Pending  int // applied an earlier one
	Rejected int // rejected the present revision
}

// Client reads configurations and follows their changes. [NewClient] makes
// one. It is safe for concurrent use, and independent of all others.
//
// A key is read from the operator's override file, else from a server, else
// from the last snapshot on disk. A key that has been read once is followed:
// it is kept up to date in memory by one long poll for all keys of the client,
// and later reads neither block nor fail for want of a server. A key that
// nobody listens to and that has not been read for 10 minutes is let go, unless
// servers cannot be asked: who reads one now and then subscribes to it. A client
// follows at most [MaxPollKeys] keys.
type Client interface {
	// Get returns the value of key. The first Get of a key waits for a server,
	// as long as ctx lets it, and falls back to the snapshot. ErrNotFound: it
	// does not exist or has been deleted. ErrUnavailable: no server could be
	// asked and there is no snapshot.
	Get(ctx context.Context, key Key) (Config, error)

	// Peek returns the value of key as Get does, and does not follow it: one that
	// is not followed already is asked for at each call. It is for programs that
	// look at many keys once.
	Peek(ctx context.Context, key Key) (Config, error)

	// Together returns the values of keys as of one position, and that position:
	// of changes that were committed together it shows all or none. It follows the
	// keys, and leaves out those that do not exist. It waits until a server has
	// told of all of them, as long as ctx lets it, or else for 3 s; later calls
	// return at once, unless a content of the newest state is still on its way. A
	// listener that depends on several keys is one for [Client].SubscribeTogether.
	// A key that has an override file, or that servers refuse, is as it is here.
	// ErrUnavailable: there is no state of all keys yet.
	Together(ctx context.Context, keys ...Key) (map[Key]Config, Position, error)

	// Subscribe has listener told of key's present value and of every newer one,
	// until the subscription is stopped. It does not wait; [Subscription.Wait]
	// does. Subscribing to a key that does not exist is fine.
	Subscribe(key Key, listener Listener) (*Subscription, error)

	// SubscribeTogether has listener told of several keys at once: of all that
	// exist, as of one position, as [Client.Together] returns them. It is called
	// when the state of all keys is known and one of them exists, and then again
	// when one of them has a newer value or is deleted: a key that does not exist
	// is left out of configs. Of changes that were committed together it sees all
	// or none, whatever the order in which their contents arrive: while one is on
	// its way, or no server has told of one of the keys yet, it keeps what it had.
	//
	// For calls and results it is as [Listener] says: the latest state wins, equal
	// values call nobody, and an error or a panic rejects the state, which is
	// reported for each of the keys; it is tried again when one of them is
	// published again. A key that has an override file, or that servers refuse, is as
	// it is here; one that they refuse and of which nothing is known keeps the
	// listener from being called.
	//
	// It differs in one thing: there is no call with snapshots, as those of several
	// keys need not be of one position. A program that starts while no server can be
	// reached has its listener called as soon as one has told of all keys. Until then
	// [Subscription.Wait] waits, as long as its ctx lets it, or else for 3 s, and fails
	// with ErrUnavailable. Who has to start without servers takes each key by Get
	// then, which falls back to its snapshot.
	//
	// [Decode] makes typed values of configs. ErrInvalid: there are no keys, one
	// breaks the grammar, or listener is nil.
	SubscribeTogether(keys []Key, listener func(ctx context.Context, configs map[Key]Config, at Position) error) (*Subscription, error)

	// Publish commits one value and returns the position after it; its Revision
	// is the new entry's. For errors see [Transport].Commit.
	Publish(ctx context.Context, draft Draft) (Position, error)

	// Delete removes a key: its listeners are told of the deletion.
	Delete(ctx context.Context, del Delete) (Position, error)

	// Commit commits a set of changes together. Where set.RequestID is empty it
	// takes a random one, so that the retries under it are safe.
	Commit(ctx context.Context, set ChangeSet) (Position, error)

	// Read returns the version of key that was published at exactly revision. As
	// Head and each page of List and History, it is tried again while no server
	// can answer, as long as ctx lets it, or for 10 s.
	// ErrNotFound, ErrCompacted: as in [Storage].Read.
	Read(ctx context.Context, key Key, revision int64) (Entry, error)

	// Head returns the newest position of the server.
	Head(ctx context.Context) (Position, error)

	// Watch yields the changes after req.After as they come, filtered, whole
	// sets, in order, each once, until ctx ends or the caller stops; req.Wait is
	// set by the client. A lost server is looked for again, of which the log
	// says when it begins and when it is over. It ends with an error when the
	// history asked for is not there: ErrCompacted, ErrEpoch, ErrOtherStore.
	Watch(ctx context.Context, req ChangesRequest) iter.Seq2[*ChangesResponse, error]

	// List yields the current entries within req in key order, page by page,
	// and ends with the first error.
	List(ctx context.Context, req ListRequest) iter.Seq2[Entry, error]

	// History yields the kept changes of a key, newest first, without contents,
	// and ends with the first error.
	History(ctx context.Context, req HistoryRequest) iter.Seq2[Change, error]

	// Status returns the state of keys, or with none given that of every key
	// that is followed, in key order.
	Status(keys ...Key) []Status

	// Close stops all subscriptions and waits until no listener is running, and no
	// callback of a [Value]. It does not close the transport. Inside the call of
	// one of them, Close does not wait for that one. Calls after it fail with ErrClosed; a second Close does
	// nothing.
	Close() error
}

// NewClient returns a client that asks transport, which it does not close.
// Errors wrap [ErrInvalid].
//
// The first server that answers names the store that the client belongs to;
// servers of another one are refused with [ErrOtherStore] for as long as the
// client lives. Snapshots of another store are ignored once a server has
// answered: to keep them from being used while none can be reached, delete the
// directory that they are in.
func NewClient(transport Transport, opts ...ClientOption) (Client, error) {
	if transport == nil {
		return nil, &Error{Op: "new client", Err: ErrInvalid, Detail: "transport: is nil"}
	}
	config := clientConfig{}
	for _, o := range opts {
		o.applyClient(&config)
	}
	if err := config.info.Validate(); err != nil {
		return nil, opError("new client", Key{}, err)
	}
	config.info.Labels = maps.Clone(config.info.Labels)
	if config.logger == nil {
		config.logger = slog.New(slog.DiscardHandler)
	}
	return newClient(transport, config), nil
}

// ReplicaStatus is the state of a server's copy of its storage.
type ReplicaStatus struct {
	Position Position // that the copy has reached; zero: it holds nothing of use
	Err      error    // why it could not be read or written last; nil: it could
	Failures uint64   // attempts to write it that failed
	Installs uint64   // times that it was made anew
}
