// Package memstore is a [diamond.Storage] and [diamond.Replica] in memory. It is for
// tests, and for servers whose configuration is published again at every start. It
// keeps every promise of the interfaces except durability beyond the process.
package memstore

import (
	"context"
	"slices"
	"sync"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

var (
	_ diamond.Storage = (*Store)(nil)
	_ diamond.Replica = (*Store)(nil)
)

// Store is a store in memory, created by [New]. It is safe for concurrent use.
type Store struct {
	retention storage.Retention
	now       func() time.Time

	mu     sync.RWMutex // guards the fields below
	closed bool
	state
}

// state is the stored data. Its changes and entries are immutable.
type state struct {
	origin  origin
	head    conf.Position
	horizon conf.Position // the log begins after it
	log     []logged
	changes int   // in log
	bytes   int64 // of their contents
	// passed counts the sets at the beginning of the log that prunings skipped because
	// their times are in the future, and passedChanges the changes in them.
	passed, passedChanges int
	items                 map[conf.Key]*item
	keys                  []conf.Key // of items, in order up to sorted
	sorted                int
	ahead                 int64 // the highest revision from Install
	requests              requests
}

// origin is the source of a store's history.
type origin int

const (
	fresh   origin = iota // there is no history
	copied                // another store, by Apply or Install
	written               // Commit or Fork of this store
)

// logged is one committed set and the position after it.
type logged struct {
	changes []conf.Change
	after   conf.Position
}

// Option changes a default of [New].
type Option func(*Store)

// WithRetention sets how much history is kept. The default is that of the zero
// [storage.Retention].
func WithRetention(r storage.Retention) Option { return func(s *Store) { s.retention = r } }

// New returns an empty store with a new id.
func New(opts ...Option) *Store {
	s := &Store{now: time.Now, state: empty()}
	s.head.Store, s.head.Epoch = storage.NewStoreID(), storage.NextEpoch(0)
	s.horizon = s.head
	for _, opt := range opts {
		opt(s)
	}
	s.retention = s.retention.OrDefaults()
	return s
}

func empty() state {
	return state{items: make(map[conf.Key]*item), requests: newRequests()}
}

// Commit implements [diamond.Storage].
func (s *Store) Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	if err := storage.CheckCommit(sets); err != nil {
		return nil, err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.caughtUp(); err != nil {
		return nil, err
	}
	now := s.now()
	results := make([]conf.Result, len(sets))
	for i := range sets {
		results[i] = s.commit(&sets[i], now)
	}
	s.prune(now)
	return results, nil
}

func (s *Store) commit(set *conf.ChangeSet, now time.Time) conf.Result {
	if first, known, err := s.requests.find(set); err != nil {
		return conf.Result{Err: err}
	} else if known {
		return conf.Result{Position: first, Replayed: true}
	}
	changes, after, err := storage.Plan(s.head, set, now, func(k conf.Key) (storage.Current, error) {
		return s.items[k].current(), nil
	})
	if err != nil {
		return conf.Result{Err: err}
	}
	s.add(changes, after)
	s.origin = written
	s.requests.add(set, after, now)
	return conf.Result{Position: after, Changes: changes}
}

// add appends a set to the log and updates the current view.
func (s *Store) add(changes []conf.Change, after conf.Position) {
	s.log = append(s.log, logged{changes, after})
	s.changes, s.bytes = s.changes+len(changes), s.bytes+contents(changes)
	s.head = after
	for i := range changes {
		if changes[i].Op == conf.OpFork {
			continue
		}
		k := changes[i].Key
		if s.items[k] == nil {
			s.items[k] = new(item)
			s.keys = append(s.keys, k)
		}
		s.items[k].add(&changes[i])
		s.trim(k)
	}
}

// Read implements [diamond.Storage].
func (s *Store) Read(ctx context.Context, key conf.Key, revision int64) (conf.Entry, error) {
	unlock, err := s.rlock(ctx)
	if err != nil {
		return conf.Entry{}, err
	}
	defer unlock()
	it := s.items[key]
	if revision == 0 {
		if it.revision() == 0 {
			return conf.Entry{}, storage.KeyError(key, conf.ErrNotFound, "")
		}
		return it.newest().change.Entry(), nil
	}
	if v := it.at(revision); v != nil && v.change.Op == conf.OpPublish {
		return v.change.Entry(), nil
	} else if v == nil && revision <= s.horizon.Revision {
		return conf.Entry{}, storage.KeyError(key, conf.ErrCompacted, "revision %d is no longer kept", revision)
	}
	return conf.Entry{}, storage.KeyError(key, conf.ErrNotFound, "no value was published at revision %d", revision)
}

// Changes implements [diamond.Storage].
func (s *Store) Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error) {
	unlock, err := s.rlock(ctx)
	if err != nil {
		return conf.Batch{}, err
	}
	defer unlock()
	batch := conf.Batch{Head: s.head, Position: after}
	if err := storage.CheckAfter(after, s.horizon, s.head); err != nil {
		return batch, err
	}
	at, next, found := s.find(after.Revision)
	if !found {
		return batch, conf.Errorf(conf.ErrEpoch, "there is no revision %d", after.Revision)
	}
	if at.Chain != after.Chain {
		return batch, conf.Errorf(conf.ErrEpoch, "revision %d has chain %v, not %v", at.Revision, at.Chain, after.Chain)
	}
	batch.Position = at
	var size int64
	for _, l := range s.log[next:] {
		for i := range l.changes {
			size += l.changes[i].Size
		}
		if n := len(batch.Changes); n > 0 && (size > maxBytes || n+len(l.changes) > storage.MaxBatch) {
			break
		}
		batch.Changes = append(batch.Changes, l.changes...)
		batch.Position = l.after
	}
	return batch, nil
}

// find returns the position at a revision of the log or at its horizon, and the index
// of the next set.
func (s *Store) find(revision int64) (at conf.Position, next int, found bool) {
	if revision == s.horizon.Revision {
		return s.horizon, 0, true
	}
	i, found := slices.BinarySearchFunc(s.log, revision, func(l logged, r int64) int {
		return int(min(1, max(-1, l.after.Revision-r)))
	})
	if !found {
		return at, 0, false
	}
	return s.log[i].after, i + 1, true
}

// Scan implements [diamond.Storage].
func (s *Store) Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error) {
	unlock, err := s.lock(ctx) // for writing: it may sort
	if err != nil {
		return conf.Page{}, err
	}
	defer unlock()
	if s.sorted < len(s.keys) {
		slices.SortFunc(s.keys, conf.Key.Compare)
		s.sorted = len(s.keys)
	}
	page := conf.Page{Position: s.head}
	start, found := slices.BinarySearchFunc(s.keys, req.After, conf.Key.Compare)
	if found {
		start++
	}
	for _, k := range s.keys[start:] {
		it := s.items[k]
		if it.revision() == 0 || !req.Matches(k) {
			continue
		}
		if len(page.Entries) >= max(req.Limit, 1) {
			page.More = true
			break
		}
		e := it.newest().change.Entry()
		if !req.Contents {
			e.Content = ""
		}
		page.Entries = append(page.Entries, e)
	}
	return page, nil
}

// History implements [diamond.Storage].
func (s *Store) History(ctx context.Context, key conf.Key, before int64, limit int) ([]conf.Change, error) {
	unlock, err := s.rlock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	it := s.items[key]
	if it == nil {
		return nil, nil
	}
	var changes []conf.Change
	for _, v := range slices.Backward(it.versions) {
		if len(changes) >= limit {
			break
		}
		if before == 0 || v.change.Revision < before {
			c := *v.change
			c.Content = ""
			changes = append(changes, c)
		}
	}
	return changes, nil
}

// PositionAt implements [diamond.Storage].
func (s *Store) PositionAt(ctx context.Context, revision int64) (conf.Position, error) {
	unlock, err := s.rlock(ctx)
	if err != nil {
		return conf.Position{}, err
	}
	defer unlock()
	if err := storage.CheckAt(revision, s.horizon, s.head); err != nil {
		return conf.Position{}, err
	}
	at, _, found := s.find(revision)
	if !found {
		return conf.Position{}, storage.NoRevision(revision)
	}
	return at, nil
}

// Fork implements [diamond.Storage].
func (s *Store) Fork(ctx context.Context, verified conf.Position) (conf.Position, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return conf.Position{}, err
	}
	defer unlock()
	at := s.head
	at.Revision = max(at.Revision, s.ahead)
	held, _, found := s.find(verified.Revision)
	change, after, err := storage.PlanFork(at, verified, found && held.Chain == verified.Chain, s.now())
	if err != nil {
		return conf.Position{}, err
	}
	if change == nil {
		return s.head, nil
	}
	s.add([]conf.Change{*change}, after)
	s.origin = written
	return after, nil
}

// Close implements [diamond.Storage].
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.state = empty()
	return nil
}

// caughtUp refuses to write to a copy that holds entries above its head.
func (s *Store) caughtUp() error {
	if s.head.Revision < s.ahead {
		return storage.NotCaughtUp(s.head.Revision, s.ahead)
	}
	return nil
}

func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	s.mu.Lock()
	if err := s.usable(ctx); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	return s.mu.Unlock, nil
}

func (s *Store) rlock(ctx context.Context) (unlock func(), err error) {
	s.mu.RLock()
	if err := s.usable(ctx); err != nil {
		s.mu.RUnlock()
		return nil, err
	}
	return s.mu.RUnlock, nil
}

func (s *Store) usable(ctx context.Context) error {
	if s.closed {
		return conf.Errorf(conf.ErrClosed, "memstore")
	}
	return storage.Ended(ctx, "memstore")
}
