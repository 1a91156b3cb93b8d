package engine_test

import (
	"context"
	"sync"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// troubled is a storage that fails, or waits, as a test tells it to.
type troubled struct {
	diamond.Storage
	silent bool // its results do not have the changes, which are read from it

	mu     sync.Mutex
	before func(op string) error // called before each operation; nil: all is well
	after  func(op string) error // called after each commit, whose outcome it may hide
	counts map[string]int
}

func troubledBy(storage diamond.Storage) *troubled {
	return &troubled{Storage: storage, counts: make(map[string]int)}
}

// set replaces both hooks.
func (s *troubled) set(before, after func(op string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after = before, after
}

// fail has every operation among ops fail with err.
func (s *troubled) fail(err error, ops ...string) {
	s.set(func(op string) error {
		for _, o := range ops {
			if o == op {
				return err
			}
		}
		return nil
	}, nil)
}

func (s *troubled) heal() { s.set(nil, nil) }

func (s *troubled) count(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[op]
}

func (s *troubled) enter(op string) error {
	s.mu.Lock()
	s.counts[op]++
	before := s.before
	s.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(op)
}

func (s *troubled) Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	if err := s.enter("commit"); err != nil {
		return nil, err
	}
	results, err := s.Storage.Commit(ctx, sets)
	for i := range results {
		if s.silent {
			results[i].Changes = nil
		}
	}
	s.mu.Lock()
	after := s.after
	s.mu.Unlock()
	if err == nil && after != nil {
		if err := after("commit"); err != nil {
			return nil, err
		}
	}
	return results, err
}

func (s *troubled) Read(ctx context.Context, key conf.Key, revision int64) (conf.Entry, error) {
	if err := s.enter("read"); err != nil {
		return conf.Entry{}, err
	}
	return s.Storage.Read(ctx, key, revision)
}

func (s *troubled) Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error) {
	if err := s.enter("changes"); err != nil {
		return conf.Batch{}, err
	}
	return s.Storage.Changes(ctx, after, maxBytes)
}

func (s *troubled) Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error) {
	if err := s.enter("scan"); err != nil {
		return conf.Page{}, err
	}
	return s.Storage.Scan(ctx, req)
}

func (s *troubled) History(ctx context.Context, key conf.Key, before int64, limit int) ([]conf.Change, error) {
	if err := s.enter("history"); err != nil {
		return nil, err
	}
	return s.Storage.History(ctx, key, before, limit)
}

func (s *troubled) PositionAt(ctx context.Context, revision int64) (conf.Position, error) {
	if err := s.enter("positionAt"); err != nil {
		return conf.Position{}, err
	}
	return s.Storage.PositionAt(ctx, revision)
}

func (s *troubled) Fork(ctx context.Context, verified conf.Position) (conf.Position, error) {
	if err := s.enter("fork"); err != nil {
		return conf.Position{}, err
	}
	return s.Storage.Fork(ctx, verified)
}

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

func (s *swapped) PositionAt(ctx context.Context, revision int64) (conf.Position, error) {
	return s.storage().PositionAt(ctx, revision)
}

func (s *swapped) Fork(ctx context.Context, verified conf.Position) (conf.Position, error) {
	return s.storage().Fork(ctx, verified)
}

func (s *swapped) Close() error { return s.storage().Close() }
