package boltstore

import (
	"context"
	"errors"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// errNothing is returned by the function given to [Store.write] if it has written nothing.
// The transaction is then rolled back without an fsync.
var errNothing = errors.New("nothing to write")

// write runs fn in a write transaction and commits it. ctx can end the wait for the
// transaction, but not the transaction.
func (s *Store) write(ctx context.Context, fn func(*view) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return err
	}
	if err := s.writable(); err != nil {
		return err
	}
	select {
	case s.writer <- struct{}{}:
	case <-ctx.Done():
		return ended(ctx)
	}
	defer func() { <-s.writer }()
	if err := ended(ctx); err != nil {
		return err
	}
	return s.failure(guard(func() error { return s.transact(fn) }))
}

// writable returns an error if the store is open for reading only.
func (s *Store) writable() error {
	if s.readOnly {
		return conf.Errorf(conf.ErrInvalid, "the store in %s is open for reading only", s.dir)
	}
	return nil
}

func (s *Store) transact(fn func(*view) error) error {
	tx, err := s.db.Begin(true)
	if err != nil {
		return err
	}
	// After a commit this does nothing. After a panic it releases the locks.
	defer func() { _ = tx.Rollback() }()
	v, err := newView(tx)
	if err != nil {
		return err
	}
	err = fn(v)
	if nothing := errors.Is(err, errNothing); nothing && !s.unsure {
		return nil
	} else if err != nil && !nothing {
		return err
	}
	if s.beforeEnd != nil {
		if err := s.beforeEnd(); err != nil {
			return err
		}
	}
	id := tx.ID()
	if err := tx.Commit(); err != nil {
		return s.settle(id, err)
	}
	s.unsure = false
	return nil
}

// settle finds the outcome of a commit that failed with cause. bbolt writes the page that
// makes the others valid last. The outcome is unknown only if that page was written but
// could not be synced.
func (s *Store) settle(id int, cause error) error {
	tx, err := s.db.Begin(false)
	if err != nil {
		return conf.Errorf(conf.ErrUnknownOutcome, "%v; then %v", cause, err)
	}
	defer func() { _ = tx.Rollback() }()
	if tx.ID() < id {
		return cause
	}
	s.unsure = true
	return conf.Errorf(conf.ErrUnknownOutcome, "%v", cause)
}

// Commit implements [diamond.Storage].
func (s *Store) Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	if err := storage.CheckCommit(sets); err != nil {
		return nil, err
	}
	results := make([]conf.Result, len(sets))
	err := s.write(ctx, func(v *view) error {
		if err := v.caughtUp(); err != nil {
			return err
		}
		c := &committer{view: v, store: s}
		var err error
		if c.head, c.count, err = v.head(); err != nil {
			return err
		}
		start := c.head
		for i := range sets {
			if results[i], err = c.commit(&sets[i]); err != nil {
				return err
			}
		}
		if c.head == start {
			return errNothing
		}
		return v.own()
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// committer commits the sets of one transaction one after the other.
type committer struct {
	*view
	store *Store
	head  conf.Position
	count int64 // of all changes that the log has had
}

// commit adds one set. An error concerns the transaction, not the set.
func (c *committer) commit(set *conf.ChangeSet) (conf.Result, error) {
	var request *request
	if set.RequestID != "" {
		request = newRequest(set)
		if first, err := c.replay(request); err != nil || first != nil {
			return deref(first), err
		}
	}
	now := c.store.now()
	var damage error
	changes, after, err := storage.Plan(c.head, set, now, func(k conf.Key) (storage.Current, error) {
		row, err := c.row(k)
		if err != nil {
			damage = err
		}
		return row.known(), err
	})
	if damage != nil {
		return conf.Result{}, damage
	}
	if err != nil {
		return conf.Result{Err: err}, nil
	}
	if err := c.add(changes, after, c.count); err != nil {
		return conf.Result{}, err
	}
	if request != nil {
		if err := c.remember(request, after, now); err != nil {
			return conf.Result{}, err
		}
	}
	c.head, c.count = after, c.count+int64(len(changes))
	return conf.Result{Position: after, Changes: changes}, nil
}

func deref(r *conf.Result) conf.Result {
	if r == nil {
		return conf.Result{}
	}
	return *r
}

// Fork implements [diamond.Storage].
func (s *Store) Fork(ctx context.Context, verified conf.Position) (conf.Position, error) {
	var after conf.Position
	err := s.write(ctx, func(v *view) error {
		at, count, err := v.head()
		if err != nil {
			return err
		}
		after = at
		at.Revision = max(at.Revision, v.ahead)
		chain, err := v.chainAt(verified.Revision)
		if err != nil && !errors.Is(err, conf.ErrEpoch) {
			return err
		}
		change, forked, err := storage.PlanFork(at, verified, err == nil && chain == verified.Chain, s.now())
		if err != nil {
			return err
		}
		if change == nil {
			return errNothing
		}
		after = forked
		v.epochs = append(v.epochs, epochStart{forked.Revision, forked.Epoch})
		if err := v.add([]conf.Change{*change}, forked, count); err != nil {
			return err
		}
		v.origin = written
		return v.save(v.tx)
	})
	if err != nil {
		return conf.Position{}, err
	}
	return after, nil
}

// caughtUp refuses to write to a copy that has entries above its head.
func (v *view) caughtUp() error {
	head, _, err := v.head()
	if err == nil && head.Revision < v.ahead {
		err = storage.NotCaughtUp(head.Revision, v.ahead)
	}
	return err
}

// own marks the store as one that is not a copy.
func (v *view) own() error {
	if v.origin == written {
		return nil
	}
	v.origin = written
	return v.save(v.tx)
}
