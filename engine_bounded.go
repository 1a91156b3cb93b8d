package diamond

import (
	"context"
	"errors"
	"time"
)

// storageTimeout bounds each call of the storage.
const storageTimeout = 30 * time.Second

// boundedStorage gives each call of a storage a deadline of its own: a storage
// that hangs holds no caller for longer, and no connection of the storage. All of
// the server's calls go through it.
type boundedStorage struct{ Storage }

// boundedReplica does so for the reads of a copy on disk. To write it takes as long
// as it takes, and holds up nobody.
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

// withDeadline makes a call of a storage, with a deadline. Where it was this deadline
// that ended the call, and not the caller's, the error is the storage's. What became
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
