package diamond

import (
	"context"
	"iter"

	"github.com/linnaname/gdiamond/conf"
)

// Storage is a change log with a current view: where a [Server] keeps what is
// published. Implementations are safe for concurrent use, and pass the suite
// in storage/storagetest, which has a case for each clause below.
//
// Storages are given canonical keys and valid sets only: the server checks
// them once, at its door. They know nothing of namespaces of the system's, of
// rights, or of clients.
//
// All methods return errors that wrap the sentinels of this package.
// ErrUnavailable: the storage cannot be reached; nothing was done. ErrNoSpace:
// it cannot be written; nothing was done, and reads go on. ErrCorrupt: stored
// bytes are damaged. ErrClosed: used after Close. The context's error, wrapped,
// when it ended first; a Commit that had begun then reports ErrUnknownOutcome.
//
// A server gives each call a deadline, and says which reads all wait for; see
// [conf.FeedRead].
type Storage interface {
	// Commit commits sets in order, in one durable transaction; each set is all
	// or nothing with a Result of its own, and later sets see the effects of
	// earlier ones.
	//
	//  1. A committed set takes the next revision: revisions are dense, from 1,
	//     and in commit order. A set that fails takes none.
	//  2. When Commit has returned, its sets are on stable storage.
	//  3. A RequestID known for the set's principal is looked up before the
	//     conditions: same [conf.ChangeSet.Hash], first outcome, Replayed; another
	//     hash, ErrInvalid. Ids are kept for 24 hours at least. Only committed
	//     sets leave one.
	//  4. IfRevision and Checks compare with the revision of the current entry,
	//     0 for a key that has none. The first that does not hold fails the set
	//     with ErrConflict, with the key and the Current revision in the [Error].
	//  5. A Delete of a key that has no entry fails the set with ErrNotFound.
	//  6. What a Draft does not say, its Type or its Meta, is that of the current
	//     entry, unless it has Reset; see [Draft]. It is taken in the transaction:
	//     so it is what the set before has left.
	//  7. A call has at most [conf.MaxCommitChanges] changes and [conf.MaxCommitBytes] bytes of
	//     content, or one set: all other writers wait for it. More fails with
	//     ErrTooLarge.
	//  8. A returned error means that no set was committed, or wraps ErrUnknownOutcome.
	Commit(ctx context.Context, sets []ChangeSet) ([]conf.Result, error)

	// Read returns the current entry of key (revision 0), or that which was
	// published at exactly the revision given. ErrNotFound: there is none, or a
	// deletion. ErrCompacted: that revision is no longer kept.
	Read(ctx context.Context, key Key, revision int64) (Entry, error)

	// Changes returns the changes after a position, with contents, in order and
	// without gaps: whole sets only, at least one if there is one, then as many
	// as keep the contents within maxBytes. Batch.Head is always set, also with
	// an error where the storage could be read.
	//
	// It shows at least what was committed before it was called. From a storage
	// that cannot keep that, as one that reads a database which follows another,
	// the server waits for what is missing, and says so; see [conf.FreshRead].
	//
	// The zero position is the start of history. ErrCompacted: changes after it
	// are no longer kept. ErrOtherStore: it has another StoreID. ErrEpoch: the
	// chain at its revision is another one, or its revision is above the head.
	// A position of an earlier epoch with the right chain is a good one: nothing
	// up to it was lost.
	Changes(ctx context.Context, after Position, maxBytes int64) (conf.Batch, error)

	// Scan returns one page of the current entries in the order of
	// [conf.Key.Compare], each page from one short transaction at its own Position.
	Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error)

	// History returns the kept changes of key below revision before (0: from
	// the newest), newest first, without contents, at most limit. It is empty
	// for a key that never was.
	History(ctx context.Context, key Key, before int64, limit int) ([]Change, error)

	// Fork begins a new epoch where the store has lost verified, which the
	// caller has seen of it: it writes an OpFork change at one above the higher
	// of its head and verified, and returns the position after it. It writes
	// nothing and returns the head where an epoch after verified's has begun, or
	// where the log has verified's revision with its chain: nothing is lost. A
	// zero verified has an epoch begin in any case. ErrOtherStore: verified is
	// another store's.
	//
	// It is the only change that may leave a gap of revisions before it.
	Fork(ctx context.Context, verified Position) (Position, error)

	// Close releases what the storage holds, and waits for calls under way. A
	// second Close does nothing.
	Close() error
}

// Replica keeps a copy of a store with the revisions as given. A storage that
// implements it too can be a node's disk copy, and the target of a restore.
// A Replica that has taken a Commit of its own refuses Apply and Install with ErrInvalid.
type Replica interface {
	// At returns the position that the replica has reached; zero when empty.
	At(ctx context.Context) (Position, error)

	// Apply adds the changes that follow At, whole sets in order, and verifies
	// the chain: it fails with ErrCorrupt, and changes nothing, unless
	// At.Follow(changes) is to. It is durable when it returns. A change that is
	// not newer than what Install brought for its key leaves the current view alone.
	Apply(ctx context.Context, changes []Change, to Position) error

	// Install replaces all by entries, as they stand in a scan that began at
	// position at; some may be newer. Earlier history is gone: Changes before
	// at is ErrCompacted. All or nothing.
	Install(ctx context.Context, at Position, entries iter.Seq2[Entry, error]) error
}

// ReplicaStorage is what a server can keep its copy of a shared storage in:
// boltstore on the node's disk, memstore in tests.
type ReplicaStorage interface {
	Storage
	Replica
}
