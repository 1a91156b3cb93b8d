package diamond

import (
	"context"
	"iter"

	"github.com/linnaname/gdiamond/conf"
)

// Storage is a log of changes with a view of the current entries. A [Server] keeps
// everything that is published in one. Implementations are safe for concurrent use, and
// pass the suite in storage/storagetest, which has a case for each clause below.
//
// A storage is only given canonical keys and valid sets, because the server checks them
// before it calls. It needs no knowledge of rights or of clients.
//
// All methods return errors that wrap the sentinels of this package:
//
//   - ErrUnavailable: the storage cannot be reached, and nothing was done.
//   - ErrNoSpace: the storage cannot be written, and nothing was done. Reads still work.
//   - ErrCorrupt: stored bytes are damaged.
//   - ErrClosed: the storage has been closed.
//   - The error of the context, if it ended first. A Commit that had begun by then
//     reports ErrUnknownOutcome.
//
// A server gives each call a deadline, and marks the reads that all of its callers depend
// on; see [conf.FeedRead].
type Storage interface {
	// Commit commits sets in order, in one durable transaction. Each set is committed as
	// a whole or not at all, and has its own Result. Later sets see the effects of
	// earlier ones.
	//
	//  1. A committed set takes the next revision. Revisions begin at 1, are dense and
	//     follow the order of commits. A set that fails takes none.
	//  2. When Commit has returned, the committed sets are on stable storage.
	//  3. The RequestID of a set is looked up, among those of its principal, before the
	//     conditions. If it is known with the same [conf.ChangeSet.RequestHash], the Result
	//     is the first outcome, with Replayed set. If it is known with another hash, the
	//     set fails with ErrInvalid. Ids are kept for at least 24 hours. Only committed sets
	//     leave an id.
	//  4. IfRevision and Checks are compared with the revision of the current entry, or
	//     with 0 if the key has none. The first condition that does not hold fails the
	//     set with ErrConflict. The [Error] has the key and the Current revision. Before
	//     that, a set with another Generation than that of the present epoch fails with
	//     ErrEpoch.
	//  5. A Delete without IfRevision of a key that has no entry fails the set with
	//     ErrNotFound.
	//  6. A Type or Meta that a Draft leaves empty is that of the current entry, unless
	//     the Draft has Reset; see [Draft]. It is read in the transaction, so it may be
	//     the result of an earlier set of the call.
	//  7. Each change has the Origin of its set. A set may have 2*[conf.MaxChanges] Checks.
	//     A storage that outlives its process marks itself in the transaction of the first
	//     change that has an Origin or a key of a system namespace, so that programs of
	//     before there were these refuse it; see [Key].System.
	//  8. A call has at most [conf.MaxCommitChanges] changes and [conf.MaxCommitBytes]
	//     bytes of content, or only one set, because all other writers wait for it. A
	//     larger call fails with ErrTooLarge.
	//  9. If Commit returns an error, no set was committed, unless the error wraps
	//     ErrUnknownOutcome.
	Commit(ctx context.Context, sets []ChangeSet) ([]conf.Result, error)

	// Read returns the current entry of key if revision is 0, and otherwise the entry
	// that was published at exactly that revision. ErrNotFound: there is no entry, or
	// the revision is a deletion. ErrCompacted: the revision is no longer kept.
	Read(ctx context.Context, key Key, revision int64) (Entry, error)

	// Changes returns the changes after a position, with contents, in order and without
	// gaps. It returns whole sets only: at least one if there is one, and then as many as
	// keep the contents within maxBytes. Batch.Head is always set, even with an error,
	// provided that the storage could be read.
	//
	// Changes shows at least what was committed before it was called. A storage that reads
	// from a replica of its database cannot guarantee that. The server then waits for what
	// is missing, and tells the storage so; see [conf.FreshRead].
	//
	// The zero position is the start of history. ErrCompacted: changes after the position
	// are no longer kept. ErrOtherStore: the position has another StoreID. ErrEpoch: the
	// chain at the position's revision is another one, or the revision is above the head.
	// A position of an earlier epoch with the right chain is valid, because nothing up to
	// it was lost.
	Changes(ctx context.Context, after Position, maxBytes int64) (conf.Batch, error)

	// Scan returns one page of the current entries in the order of [conf.Key.Compare].
	// Each page is read in one short transaction and has its own Position.
	Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error)

	// History returns at most limit kept changes of key, newest first, without contents.
	// It returns only those below revision before, unless before is 0. The result is
	// empty if the key never existed.
	History(ctx context.Context, key Key, before int64, limit int) ([]Change, error)

	// PositionAt returns the position after the set of a revision: for the head's revision
	// the head, and for revision 0 the position of the store before its first change, which
	// has the store's id and first epoch and is therefore not zero. ErrCompacted: the log no
	// longer reaches back to the revision. ErrNotFound: the revision is above the head, or
	// in the gap that a fork has left. Changes accepts each position that PositionAt returns.
	PositionAt(ctx context.Context, revision int64) (Position, error)

	// Fork begins a new epoch if the store has lost verified, a position that the caller
	// has seen of it. Fork writes an OpFork change, whose revision is one above the higher
	// of the head's and verified's, and returns the position after it. If an epoch after
	// verified's has begun already, or if the log has verified's revision with its chain,
	// so that nothing is lost, Fork writes nothing and returns the head. If verified is
	// zero, Fork always begins an epoch. ErrOtherStore: verified is of another store.
	//
	// An OpFork change is the only one that may leave a gap of revisions before it.
	Fork(ctx context.Context, verified Position) (Position, error)

	// Close waits for calls under way and releases the resources of the storage. A second
	// Close does nothing.
	Close() error
}

// Replica keeps a copy of a store under the revisions of that store. A storage that is
// also a Replica can serve as a node's replica on disk, and as the target of a restore.
// A Replica that has taken a Commit of its own refuses Apply and Install with ErrInvalid.
type Replica interface {
	// At returns the position that the replica has reached. It is zero if the replica is
	// empty.
	At(ctx context.Context) (Position, error)

	// Apply adds the changes that follow At, as whole sets in order, and verifies the
	// chain. Unless At.Follow(changes) returns to, Apply fails with ErrCorrupt and changes
	// nothing. When Apply has returned, the changes are on stable storage. A change that
	// is not newer than the entry that Install brought for its key does not change the
	// current view.
	Apply(ctx context.Context, changes []Change, to Position) error

	// Install replaces everything with entries, which come from a scan that began at
	// position at. Some may be newer than at. The history before at is dropped: Changes
	// after a position before at fails with ErrCompacted. If Install fails, nothing has
	// changed.
	Install(ctx context.Context, at Position, entries iter.Seq2[Entry, error]) error
}

// ReplicaStorage is a storage in which a server can keep its replica of a shared storage:
// boltstore on the node's disk, or memstore in tests.
type ReplicaStorage interface {
	Storage
	Replica
}
