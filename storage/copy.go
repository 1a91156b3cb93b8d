package storage

import (
	"context"
	"errors"
	"iter"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

const (
	copyBytes = 4 << 20 // bytes of content in one step
	copyPage  = 100     // entries of a scan with contents
)

// Origin is a storage that reports where its log begins, so that the log can be
// copied after pruning.
type Origin interface {
	diamond.Storage
	// Horizon returns the position after which Changes has all changes, or zero if
	// nothing was pruned.
	Horizon(ctx context.Context) (conf.Position, error)
}

// Copy makes to a copy of from: store id, revisions, chain and current entries,
// and the log with contents as far as from keeps it. It returns the position
// that both have in the end.
//
// An interrupted copy continues where it stopped. Nothing may be committed to from
// during the copy or afterwards: the copy would lack it, and two histories would
// share a store id. Errors are those of the two storages, such as ErrInvalid if to
// has changes of its own, ErrOtherStore if to is a copy of another store, and
// ErrEpoch if to has diverged.
func Copy(ctx context.Context, from Origin, to diamond.Replica) (conf.Position, error) {
	at, err := to.At(ctx)
	if err != nil {
		return at, err
	}
	for begun := !at.IsZero(); ; {
		batch, err := from.Changes(ctx, at, copyBytes)
		if errors.Is(err, conf.ErrCompacted) && !begun {
			if at, err = from.Horizon(ctx); err == nil {
				err = to.Install(ctx, at, entries(ctx, from))
			}
			if begun = true; err != nil {
				return conf.Position{}, err
			}
			continue
		}
		if err != nil {
			return at, err
		}
		if len(batch.Changes) == 0 {
			return at, nil
		}
		if err := to.Apply(ctx, batch.Changes, batch.Position); err != nil {
			return at, err
		}
		at, begun = batch.Position, true
	}
}

// entries yields the current entries of s with their contents.
func entries(ctx context.Context, s diamond.Storage) iter.Seq2[conf.Entry, error] {
	return func(yield func(conf.Entry, error) bool) {
		req := conf.ScanRequest{Limit: copyPage, Contents: true}
		for more := true; more; {
			page, err := s.Scan(ctx, req)
			if err != nil {
				yield(conf.Entry{}, err)
				return
			}
			for i := range page.Entries {
				if !yield(page.Entries[i], nil) {
					return
				}
				req.After = page.Entries[i].Key
			}
			more = page.More
		}
	}
}
