package diamond

import (
	"context"
	"errors"
	"time"
)

// storageTimeout bounds each call of the storage.
const storageTimeout = 30 * time.Second

// boundedStorage gives each call of a storage a deadline, so that a storage that hangs
// holds neither a caller nor a connection for longer. All calls of the server go
// through it.
type boundedStorage struct{ Storage }

// boundedReplica does the same for the reads of a replica. Its writes have no deadline,
// as nobody waits for them.
type boundedReplica struct {
	boundedStorage
	Replica
}

// bounded returns local with deadlines for its reads.
func bounded(local ReplicaStorage) ReplicaStorage {
	return boundedReplica{boundedStorage{local}, local}
}

// Commit implements [Storage].
func (b boundedStorage) Commit(ctx context.Context, sets []ChangeSet) ([]Result, error) {
	return withDeadline(ctx, func(ctx context.Context) ([]Result, error) { return b.Storage.Commit(ctx, sets) })
}

// Read implements [Storage].
func (b boundedStorage) Read(ctx context.Context, key Key, revision int64) (Entry, error) {
	return withDeadline(ctx, func(ctx context.Context) (Entry, error) { return b.Storage.Read(ctx, key, revision) })
}

// Changes implements [Storage].
func (b boundedStorage) Changes(ctx context.Context, after Position, maxBytes int64) (Batch, error) {
	return withDeadline(ctx, func(ctx context.Context) (Batch, error) { return b.Storage.Changes(ctx, after, maxBytes) })
}

// Scan implements [Storage].
func (b boundedStorage) Scan(ctx context.Context, req ScanRequest) (Page, error) {
	return withDeadline(ctx, func(ctx context.Context) (Page, error) { return b.Storage.Scan(ctx, req) })
}

// History implements [Storage].
func (b boundedStorage) History(ctx context.Context, key Key, before int64, limit int) ([]Change, error) {
	return withDeadline(ctx, func(ctx context.Context) ([]Change, error) { return b.Storage.History(ctx, key, before, limit) })
}

// Fork implements [Storage].
func (b boundedStorage) Fork(ctx context.Context, verified Position) (Position, error) {
	return withDeadline(ctx, func(ctx context.Context) (Position, error) { return b.Storage.Fork(ctx, verified) })
}

// withDeadline calls a storage with a deadline. If this deadline ended the call, and
// not the caller's context, the error is that the storage is unavailable; the outcome
// of a commit stays unknown.
func withDeadline[T any](caller context.Context, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(caller, storageTimeout)
	defer cancel()
	v, err := call(ctx)
	if caller.Err() == nil && ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrUnknownOutcome) {
		err = unavailable("the storage did not answer within %v", storageTimeout)
	}
	return v, err
}
