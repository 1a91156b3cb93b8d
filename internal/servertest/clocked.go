package servertest

import (
	"context"
	"errors"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// Clocked is a storage with a clock that is wrong.
type Clocked struct {
	*memstore.Store
	Reached conf.Position
	Skew    time.Duration
}

// Commit implements [diamond.Storage].
func (s *Clocked) Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	results := make([]conf.Result, len(sets))
	for i := range sets {
		changes, after, err := storage.Plan(s.Reached, &sets[i], time.Now().Add(s.Skew), func(k conf.Key) (storage.Current, error) {
			e, err := s.Read(ctx, k, 0)
			if errors.Is(err, conf.ErrNotFound) {
				err = nil
			}
			return storage.Current{Revision: e.Revision, Type: e.Type, Meta: e.Meta}, err
		})
		if err == nil {
			err = s.Apply(ctx, changes, after)
		}
		if err != nil {
			results[i].Err = err
			continue
		}
		s.Reached, results[i].Position = after, after
	}
	return results, nil
}
