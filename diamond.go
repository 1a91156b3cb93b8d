package diamond

import (
	"context"
	"iter"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/engine"
	"github.com/linnaname/gdiamond/internal/follower"
)

// Server is a configuration centre without sockets. It serves reads and polls
// from memory and writes to a [Storage]. [NewServer] makes one. It is safe
// for concurrent use.
//
// Package server hosts one on a network; package transport/httptransport has
// its HTTP handler.
type Server interface {
	Transport

	// Status returns the state of the server. It does not call the storage.
	Status() ServerStatus

	// Nudge tells the server that somebody has committed changes up to p. If the
	// server does not have them, it reads its storage at once instead of at its next
	// interval. Nudge never blocks. A nudge is only a hint: a lost, repeated, late or
	// forged one changes nothing but the time of a read, and nudges cause at most 100
	// reads a second. A program should pass on only the nudges of authenticated peers,
	// because the server reports a position that its storage never shows (see
	// ServerStatus.Stalled). The zero Position means that p is not known.
	Nudge(p Position)

	// OnCommitted registers a function to be called after each transaction of this
	// server with the position of its newest change, for example to nudge the other
	// servers that share the storage. Calls do not overlap. Transactions that finish
	// during a call are coalesced into one further call, with the newest position.
	// Commits do not wait for committed. Close and stop wait for a running call, and
	// there are no calls after they have returned.
	OnCommitted(committed func(Position)) (stop func())

	// Drain prepares for Close. It answers every parked Poll and Changes at once, with
	// Draining set. Later ones are answered in the same way instead of being parked.
	// Reads and commits continue.
	Drain()

	// Close drains the server, waits for commits under way, and stops everything that
	// the server has started. It does not close the storage. Calls after Close fail with
	// ErrClosed; a second Close does nothing.
	Close() error
}

// NewServer returns a server on storage. It loads the state of all keys into memory,
// and returns when the load has succeeded or has failed once. After a failure the
// server keeps trying in the background. Until a load succeeds the server is not ready,
// and answers requests with ErrUnavailable. If the storage does not answer within 10 s,
// NewServer returns as after a failure.
//
// Errors wrap ErrInvalid for a bad option, or ErrCorrupt or ErrClosed from the storage.
// [WithReplica] adds those of a replica. The caller closes the storage, after the
// server.
func NewServer(storage Storage, opts ...ServerOption) (Server, error) {
	cfg := engine.DefaultConfig()
	for _, opt := range opts {
		opt.applyServer(&cfg)
	}
	srv, err := engine.New(storage, &cfg)
	if err != nil {
		return nil, conf.WithOp("new server", Key{}, err)
	}
	return srv, nil
}

// Client reads configurations and follows their changes. [NewClient] makes one. It is
// safe for concurrent use and independent of other clients.
//
// A key is read from the operator's override file, else from a server, else from the
// last snapshot on disk. A key that has been read once is followed: one long poll for
// all keys of the client keeps it up to date in memory, and later reads neither block
// nor fail while no server can be reached. A client lets go of a key that nobody
// listens to and that has not been read for 10 minutes, unless no server can be
// reached then. Programs that read a key only now and then should subscribe to it. A
// client follows at most [MaxPollKeys] keys.
type Client interface {
	// Get returns the value of key. The first Get of a key waits for a server until
	// ctx ends, or without a deadline for the First of [Timeouts], and falls back to
	// the snapshot. ErrNotFound: the key does not exist or has been deleted.
	// ErrUnavailable: no server could be reached and there is no snapshot.
	Get(ctx context.Context, key Key) (Config, error)

	// Peek returns the value of key as Get does, but does not follow it. Unless the key
	// is followed already, each call asks a server. It is for programs that look at
	// many keys once.
	Peek(ctx context.Context, key Key) (Config, error)

	// Together returns the values of keys as of one position, and that position: it
	// shows all or none of the changes that were committed together. It follows the
	// keys, and leaves out those that do not exist. It waits until a server has
	// answered about all of them: until ctx ends, or without a deadline for the First of
	// [Timeouts]. Later calls return at once, unless a content of the newest state is
	// still missing. A listener that depends on several keys uses
	// [Client].SubscribeTogether. A key with an override file, or one that servers
	// refuse, has the value that Get returns.
	// ErrUnavailable: there is no state of all keys yet.
	Together(ctx context.Context, keys ...Key) (map[Key]Config, Position, error)

	// Subscribe calls listener with the present value of key and with every newer one,
	// until the subscription is stopped. It does not wait; [Subscription.Wait] does. The
	// key need not exist.
	Subscribe(key Key, listener Listener) (*Subscription, error)

	// SubscribeTogether calls listener with the values of several keys as of one
	// position, as [Client.Together] returns them. The first call comes when the state
	// of all keys is known and at least one exists. Others follow when one of the keys
	// has a newer value or is deleted. A key that does not exist is missing from
	// configs. The listener sees all or none of the changes that were committed
	// together, whatever the order in which their contents arrive: while a content is
	// missing, or no server has answered about one of the keys, it is not called.
	//
	// Calls and results are as described for [Listener]: the latest state wins, equal
	// values cause no call, and an error or a panic rejects the state. The rejection
	// is reported for each of the keys, and the state is tried again when one of them
	// is published again. A key with an override file, or one that servers refuse, has
	// the value that Get returns. A key that servers refuse and of which nothing is
	// known prevents the calls.
	//
	// Unlike [Client].Subscribe it never uses snapshots, because those of several keys
	// may be of different positions. A program that starts while no server can be
	// reached is called once a server has answered about all keys. Until then
	// [Subscription.Wait] waits for its ctx, or without a deadline for the First of
	// [Timeouts], and fails with ErrUnavailable. A program that must start without
	// servers can then read each key by Get, which falls back to its snapshot.
	//
	// [Decode] makes typed values from configs. ErrInvalid: keys is empty, a key breaks
	// the grammar, or listener is nil.
	SubscribeTogether(keys []Key, listener func(ctx context.Context, configs map[Key]Config, at Position) error) (*Subscription, error)

	// Publish commits one value and returns the position after it, whose Revision is
	// that of the new entry. For errors see [Transport].Commit.
	Publish(ctx context.Context, draft Draft) (Position, error)

	// Delete removes a key. Its listeners are called with the deletion.
	Delete(ctx context.Context, del Delete) (Position, error)

	// Commit commits a set of changes together. If set.RequestID is empty it takes a
	// random one, which makes retries safe. It retries, as Publish and Delete do, until
	// ctx ends, or without a deadline for the Call of [Timeouts].
	Commit(ctx context.Context, set ChangeSet) (Position, error)

	// Read returns the version of key that was published at exactly revision. Like
	// Head and each page of List and History, it retries while no server can answer,
	// until ctx ends, or without a deadline for the Call of [Timeouts].
	// ErrNotFound, ErrCompacted: as in [Storage].Read.
	Read(ctx context.Context, key Key, revision int64) (Entry, error)

	// Head returns the newest position of a server. As with List, it is not older than
	// what the client had seen.
	Head(ctx context.Context) (Position, error)

	// Watch yields the changes after req.After that pass its filter, as whole sets, in
	// order, each once, until ctx ends or the caller stops. The client sets req.Wait: its
	// first request, and those that follow an answer with More, do not wait. So the first
	// answer comes at once and says up to which position the caller knows everything.
	// Watch also yields answers without changes. While servers answer, there is one
	// at least every 30 s.
	//
	// When no server can be reached it keeps trying, and logs when that begins and
	// ends. It ends with an error if the requested history does not exist:
	// ErrCompacted, ErrEpoch, ErrOtherStore; if servers refuse it (ErrDenied, ErrInvalid); or
	// if they refuse the client's proof of identity before the first answer
	// (ErrUnauthenticated).
	Watch(ctx context.Context, req ChangesRequest) iter.Seq2[*ChangesResponse, error]

	// List yields the current entries that match req in key order, page by page. It
	// ends with the first error. No page is older than the newest position that the
	// client had seen when the iteration began. The client asks again while servers are
	// behind; ErrBehind says that none caught up in time. In a list of AllNamespaces the last
	// is ErrUnavailable if servers have left out namespaces in which they cannot decide about
	// the client's rights now.
	List(ctx context.Context, req ListRequest) iter.Seq2[Entry, error]

	// History yields the kept changes of a key, newest first, without contents. It
	// ends with the first error.
	History(ctx context.Context, req HistoryRequest) iter.Seq2[Change, error]

	// Status returns the state of keys in key order, or of all followed keys if none
	// are given.
	Status(keys ...Key) []Status

	// OnError calls told with each problem that keeps the client from its work, once when
	// it begins, until stop is called: no server gives a usable answer (ErrUnavailable,
	// ErrOverloaded, ErrDenied, ErrUnauthenticated, or ErrOtherStore), the store has lost history (ErrEpoch),
	// or snapshots cannot be written (ErrNoSpace, or an error of package fs). A problem
	// that is present already is told at once. Its end is not told. A failure that the
	// next attempt repairs is no problem. The client knows whether servers answer from
	// its polls for followed keys, and from each Watch. For errors of single keys see
	// [Value].OnError and [Config].Refused.
	//
	// Calls to one callback are sequential and in order, and delay nobody else. A slow
	// callback misses an error that a newer one of the same problem replaces. A panic is
	// recovered. stop waits for a call under way, unless it is called from within it.
	// After Close there are no calls.
	OnError(told func(err error)) (stop func())

	// Close stops all subscriptions and waits until no listener and no callback is
	// running. It does not close the transport. Called from a listener or a callback, it
	// does not wait for that one. If others still run after the Close of [Timeouts], it
	// fails with ErrUnavailable and names their keys. Later calls of other methods fail
	// with ErrClosed; a second Close does nothing.
	Close() error
}

// NewClient returns a client that sends its requests to transport, which it does
// not close. Errors wrap [ErrInvalid].
//
// The first server that answers decides to which store the client belongs. For as
// long as the client lives it rejects servers of other stores with [ErrOtherStore].
// It ignores snapshots of another store once a server has answered. To keep them
// from being used while no server can be reached, delete their directory.
func NewClient(transport Transport, opts ...ClientOption) (Client, error) {
	var config follower.Config
	for _, o := range opts {
		o.applyClient(&config)
	}
	c, err := follower.New(transport, config)
	if err != nil {
		return nil, conf.WithOp("new client", Key{}, err)
	}
	return &client{c}, nil
}
