package diamond_test

import (
	"context"
	"sync"

	diamond "github.com/linnaname/gdiamond"
)

// swapped is a storage that can become another one under its server, as a
// database does that is failed over or restored.
type swapped struct {
	mu  sync.RWMutex
	now diamond.Storage
}

func (s *swapped) set(now diamond.Storage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

func (s *swapped) storage() diamond.Storage {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.now
}

func (s *swapped) Commit(ctx context.Context, sets []diamond.ChangeSet) ([]diamond.Result, error) {
	return s.storage().Commit(ctx, sets)
}

func (s *swapped) Read(ctx context.Context, key diamond.Key, revision int64) (diamond.Entry, error) {
	return s.storage().Read(ctx, key, revision)
}

func (s *swapped) Changes(ctx context.Context, after diamond.Position, maxBytes int64) (diamond.Batch, error) {
	return s.storage().Changes(ctx, after, maxBytes)
}

func (s *swapped) Scan(ctx context.Context, req diamond.ScanRequest) (diamond.Page, error) {
	return s.storage().Scan(ctx, req)
}

func (s *swapped) History(ctx context.Context, key diamond.Key, before int64, limit int) ([]diamond.Change, error) {
	return s.storage().History(ctx, key, before, limit)
}

func (s *swapped) Fork(ctx context.Context, verified diamond.Position) (diamond.Position, error) {
	return s.storage().Fork(ctx, verified)
}

func (s *swapped) Close() error { return s.storage().Close() }
