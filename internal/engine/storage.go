package engine

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// storageTimeout bounds each call of the storage.
const storageTimeout = 30 * time.Second

// readStorage is the part of a storage that reads. A replica has it too.
type readStorage interface {
	Read(ctx context.Context, key conf.Key, revision int64) (conf.Entry, error)
	Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error)
	Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error)
	History(ctx context.Context, key conf.Key, before int64, limit int) ([]conf.Change, error)
	PositionAt(ctx context.Context, revision int64) (conf.Position, error)
}

// Storage has the methods of a storage that an engine calls. The contract is that of
// diamond.Storage.
type Storage interface {
	readStorage
	Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error)
	Fork(ctx context.Context, verified conf.Position) (conf.Position, error)
}

// ReplicaStorage has the methods of its replica's storage that an engine calls. The contracts
// are those of diamond.Storage and diamond.Replica.
type ReplicaStorage interface {
	readStorage
	replicaWriter
}

// replicaWriter has the methods that only the writer of a replica calls.
type replicaWriter interface {
	At(ctx context.Context) (conf.Position, error)
	Apply(ctx context.Context, changes []conf.Change, to conf.Position) error
	Install(ctx context.Context, at conf.Position, entries iter.Seq2[conf.Entry, error]) error
}

// boundedReads gives each read of a storage a deadline, so that a storage that hangs
// holds neither a caller nor a connection for longer. All reads of the engine go
// through it.
type boundedReads struct{ readStorage }

// boundedStorage does the same for commits and forks.
type boundedStorage struct {
	boundedReads
	storage Storage
}

// boundedReplica does the same for the reads of a replica. Its writes have no deadline,
// because nobody waits for them.
type boundedReplica struct {
	boundedReads
	replicaWriter
}

// bounded returns storage with deadlines for all its calls.
func bounded(storage Storage) Storage { return boundedStorage{boundedReads{storage}, storage} }

// boundedLocal returns local with deadlines for its reads.
func boundedLocal(local ReplicaStorage) ReplicaStorage {
	return boundedReplica{boundedReads{local}, local}
}

// Read calls the storage's Read.
func (b boundedReads) Read(ctx context.Context, key conf.Key, revision int64) (conf.Entry, error) {
	return withDeadline(ctx, func(ctx context.Context) (conf.Entry, error) { return b.readStorage.Read(ctx, key, revision) })
}

// Changes calls the storage's Changes.
func (b boundedReads) Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error) {
	return withDeadline(ctx, func(ctx context.Context) (conf.Batch, error) { return b.readStorage.Changes(ctx, after, maxBytes) })
}

// Scan calls the storage's Scan.
func (b boundedReads) Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error) {
	return withDeadline(ctx, func(ctx context.Context) (conf.Page, error) { return b.readStorage.Scan(ctx, req) })
}

// History calls the storage's History.
func (b boundedReads) History(ctx context.Context, key conf.Key, before int64, limit int) ([]conf.Change, error) {
	return withDeadline(ctx, func(ctx context.Context) ([]conf.Change, error) {
		return b.readStorage.History(ctx, key, before, limit)
	})
}

// PositionAt calls the storage's PositionAt.
func (b boundedReads) PositionAt(ctx context.Context, revision int64) (conf.Position, error) {
	return withDeadline(ctx, func(ctx context.Context) (conf.Position, error) {
		return b.readStorage.PositionAt(ctx, revision)
	})
}

// Commit calls the storage's Commit.
func (b boundedStorage) Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	return withDeadline(ctx, func(ctx context.Context) ([]conf.Result, error) { return b.storage.Commit(ctx, sets) })
}

// Fork calls the storage's Fork.
func (b boundedStorage) Fork(ctx context.Context, verified conf.Position) (conf.Position, error) {
	return withDeadline(ctx, func(ctx context.Context) (conf.Position, error) { return b.storage.Fork(ctx, verified) })
}

// withDeadline calls a storage with a deadline. If this deadline ended the call, and
// not the caller's context, the error is that the storage is unavailable; the outcome
// of a commit stays unknown.
func withDeadline[T any](caller context.Context, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(caller, storageTimeout)
	defer cancel()
	v, err := call(ctx)
	if caller.Err() == nil && ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, conf.ErrUnknownOutcome) {
		err = unavailable("the storage did not answer within %v", storageTimeout)
	}
	return v, err
}
