package diamond

import (
	"context"
	"errors"
	"time"

	"github.com/linnaname/gdiamond/conf"
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
func (b boundedStorage) Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	return withDeadline(ctx, func(ctx context.Context) ([]conf.Result, error) { return b.Storage.Commit(ctx, sets) })
}

// Read implements [Storage].
func (b boundedStorage) Read(ctx context.Context, key conf.Key, revision int64) (conf.Entry, error) {
	return withDeadline(ctx, func(ctx context.Context) (conf.Entry, error) { return b.Storage.Read(ctx, key, revision) })
}

// Changes implements [Storage].
func (b boundedStorage) Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error) {
	return withDeadline(ctx, func(ctx context.Context) (conf.Batch, error) { return b.Storage.Changes(ctx, after, maxBytes) })
}

// Scan implements [Storage].
func (b boundedStorage) Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error) {
	return withDeadline(ctx, func(ctx context.Context) (conf.Page, error) { return b.Storage.Scan(ctx, req) })
}

// History implements [Storage].
func (b boundedStorage) History(ctx context.Context, key conf.Key, before int64, limit int) ([]conf.Change, error) {
	return withDeadline(ctx, func(ctx context.Context) ([]conf.Change, error) { return b.Storage.History(ctx, key, before, limit) })
}

// Fork implements [Storage].
func (b boundedStorage) Fork(ctx context.Context, verified conf.Position) (conf.Position, error) {
	return withDeadline(ctx, func(ctx context.Context) (conf.Position, error) { return b.Storage.Fork(ctx, verified) })
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
