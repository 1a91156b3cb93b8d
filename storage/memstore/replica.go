package memstore

import (
	"context"
	"crypto/sha256"
	"iter"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// At implements [diamond.Replica].
func (s *Store) At(ctx context.Context) (conf.Position, error) {
	unlock, err := s.rlock(ctx)
	if err != nil {
		return conf.Position{}, err
	}
	defer unlock()
	return s.at(), nil
}

func (s *Store) at() conf.Position {
	if s.origin == fresh {
		return conf.Position{}
	}
	return s.head
}

// Apply implements [diamond.Replica].
func (s *Store) Apply(ctx context.Context, changes []conf.Change, to conf.Position) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.isCopy(); err != nil {
		return err
	}
	if err := storage.Follows(s.at(), changes, to); err != nil {
		return err
	}
	if s.origin == fresh {
		s.head = conf.Position{Store: to.Store, Epoch: storage.FirstEpoch(changes, to)}
		s.horizon = s.head
	}
	s.origin = copied
	for len(changes) > 0 {
		set := changes[:changes[0].Count:changes[0].Count]
		changes = changes[len(set):]
		after, err := s.head.Follow(set)
		if err != nil {
			return err // impossible: Follows has checked the changes above
		}
		s.add(append([]conf.Change(nil), set...), after)
	}
	s.head = to
	s.prune(s.now())
	return nil
}

// Install implements [diamond.Replica].
func (s *Store) Install(ctx context.Context, at conf.Position, entries iter.Seq2[conf.Entry, error]) error {
	next := empty()
	next.origin, next.head, next.horizon = copied, at, at
	for e, err := range entries {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := storage.CheckInstall(&e); err != nil {
			return err
		}
		if next.items[e.Key] != nil {
			return conf.Errorf(conf.ErrInvalid, "entry %v is given twice", e.Key)
		}
		c := storage.EntryChange(&e, sha256.Sum256([]byte(e.Content)))
		next.items[e.Key] = &item{versions: []version{{change: &c, installed: true}}, count: 1}
		next.keys = append(next.keys, e.Key)
		next.ahead = max(next.ahead, e.Revision)
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.isCopy(); err != nil {
		return err
	}
	if at.IsZero() {
		return conf.Errorf(conf.ErrInvalid, "install at the position of no store")
	}
	if have := s.at(); !have.IsZero() && have.Store != at.Store {
		return storage.OtherStore(have, at)
	}
	s.state = next
	return nil
}

// isCopy returns an error if the store is not a copy, so that its history is not
// overwritten.
func (s *Store) isCopy() error {
	if s.origin == written {
		return storage.NotCopy()
	}
	return nil
}
