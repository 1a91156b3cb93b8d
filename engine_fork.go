package diamond

import (
	"context"
	"errors"
	"sort"
)

// maxLostKeys is how many keys the record of a loss names.
const maxLostKeys = 100

// fork begins a new epoch, as the storage seems to have lost history that the
// server has seen, and loads what there is now. The storage itself knows better
// than its reads, which may be behind: then it begins none.
func (s *server) fork(ctx context.Context, old *state) error {
	kept, to, err := s.begin(ctx, old.position)
	if err != nil {
		return err
	}
	if to.Epoch == old.position.Epoch && to.Revision >= old.position.Revision {
		s.historyLost.Store(false)
		return s.lag.ahead(old.position.Revision)
	}
	if to.Compare(old.position) <= 0 {
		return Errorf(ErrCorrupt, "a fork at revision %d of generation %d led to revision %d of generation %d",
			old.position.Revision, old.position.Epoch.Generation, to.Revision, to.Epoch.Generation)
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	lost := s.state.Load().lacks(old, kept)
	s.log.Error("the storage has lost changes that were committed; a new epoch begins",
		"generation", to.Epoch.Generation,
		"lost_after_revision", kept,
		"lost_up_to_revision", old.position.Revision,
		"lost_keys", len(lost),
		"keys", lost[:min(len(lost), maxLostKeys)])
	return nil
}

// begin has the storage begin a new epoch, and returns up to which revision it
// still had the history that led to verified, and where it is now.
func (s *server) begin(ctx context.Context, verified Position) (kept int64, to Position, err error) {
	ctx = readForFeed(ctx)
	if kept, err = s.kept(ctx, verified); err != nil {
		return 0, Position{}, err
	}
	to, err = s.storage.Fork(ctx, verified)
	return kept, to, err
}

// kept returns the newest revision on the way to verified that is still in the
// storage's history, 0 where none is known to be.
func (s *server) kept(ctx context.Context, verified Position) (int64, error) {
	marks := s.trail.all()
	var failed error // then nothing more is asked
	n := sort.Search(len(marks), func(i int) bool {
		if failed != nil {
			return true
		}
		p := verified
		p.Revision, p.Chain = marks[i].revision, marks[i].chain
		_, err := s.storage.Changes(ctx, p, 1)
		if errors.Is(err, ErrUnavailable) {
			failed = err
		}
		return errors.Is(err, ErrEpoch)
	})
	if failed != nil || n == 0 {
		return 0, failed
	}
	return marks[n-1].revision, nil
}
