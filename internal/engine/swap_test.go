package engine_test

import (
	"context"
	"sync"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
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

func (s *swapped) Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	return s.storage().Commit(ctx, sets)
}

func (s *swapped) Read(ctx context.Context, key conf.Key, revision int64) (conf.Entry, error) {
	return s.storage().Read(ctx, key, revision)
}

func (s *swapped) Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error) {
	return s.storage().Changes(ctx, after, maxBytes)
}

func (s *swapped) Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error) {
	return s.storage().Scan(ctx, req)
}

func (s *swapped) History(ctx context.Context, key conf.Key, before int64, limit int) ([]conf.Change, error) {
	return s.storage().History(ctx, key, before, limit)
}

func (s *swapped) Fork(ctx context.Context, verified conf.Position) (conf.Position, error) {
	return s.storage().Fork(ctx, verified)
}

func (s *swapped) Close() error { return s.storage().Close() }
