package engine

import (
	"context"
	"errors"

	"github.com/linnaname/gdiamond/conf"
)

// verifyTries is the number of attempts for a key that changes while it is examined.
const verifyTries = 3

// verifier finds out which of storage, log and memory is wrong about a key, and repairs
// what is served.
type verifier struct {
	storage interface {
		Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error)
		History(ctx context.Context, key conf.Key, before int64, limit int) ([]conf.Change, error)
	}
	reader  reader // of the storage
	served  *served
	replica *replica // or nil if none is kept
	feed    *feed
}

// verdict is the result of the examination of a key.
type verdict struct {
	settled  bool   // storage is valid; false if the key changed all the time
	revision int64  // of the key, the newest that storage, log or memory has
	memory   bool   // the server's record was wrong; it is repaired
	storage  string // the error in the storage, or ""
}

// verify finds out whether a key differs, and repairs the server's record if that is wrong. It
// compares three things as of one position: the newest change of the key in the storage's log,
// the storage's current entry, and the server's record.
func (v *verifier) verify(ctx context.Context, key conf.Key) (verdict, error) {
	for range verifyTries {
		page, row, err := v.reader.current(ctx, key)
		if err != nil {
			return verdict{}, err
		}
		if err := v.feed.notBefore(ctx, page.Position, reachTimeout); err != nil {
			return verdict{}, err
		}
		want, err := v.published(ctx, key)
		if err != nil {
			return verdict{}, err
		}
		st, have := v.served.record(key)
		if st == nil || st.position.Epoch != page.Position.Epoch {
			return verdict{}, nil // the epoch is changing, so the feed reads everything anyway
		}
		if isAfter(want, page.Position) || isAfter(have, page.Position) {
			continue // changed meanwhile
		}
		return v.judge(ctx, st, key, row, want, have)
	}
	return verdict{}, nil // it changes all the time, so the feed reads it anyway
}

// judge decides which of row, the storage's entry, want, the log's record, and have, the
// server's record, is wrong. It repairs the server's record.
func (v *verifier) judge(ctx context.Context, st *state, key conf.Key, row *conf.Entry, want, have *record) (found verdict, err error) {
	found.revision = max(want.revision(), have.revision())
	if row != nil {
		found.revision = max(found.revision, row.Revision)
	}
	if !sameRecord(want, have) {
		right, err := v.proven(ctx, st, want, have)
		if err != nil {
			return found, err
		}
		if right {
			if err := v.feed.repair(ctx, key, have, want); err != nil {
				return found, err
			}
			found.memory = true
		} else {
			want = have // the log has been changed since the server verified it
		}
	}
	var problem error
	switch {
	case want.absent() && row == nil:
	case want.absent() || row == nil || !want.standsFor(row):
		problem = conf.Errorf(conf.ErrCorrupt, "the storage's entry is not what was published, as after a change by hand; what was published is served")
	default:
		problem = v.verifyStored(ctx, want)
	}
	if e := new(conf.Error); errors.Is(problem, conf.ErrCorrupt) && errors.As(problem, &e) {
		found.storage = e.Detail
	} else if problem != nil {
		return found, problem
	}
	found.settled = true
	return found, nil
}

// verifyStored reads the storage's entry of r, and returns ErrCorrupt if that is not what was
// published.
func (v *verifier) verifyStored(ctx context.Context, r *record) error {
	_, err := v.reader.version(ctx, r)
	switch _, now := v.served.record(r.Key); {
	case err == nil, now.view() != r.view():
		return nil
	case errors.Is(err, conf.ErrCorrupt), isGone(err):
		return conf.Errorf(conf.ErrCorrupt, "the storage's content is not what was published, as after a change by hand; a copy that the server has is served")
	}
	return err
}

// proven reports whether want, the log's record, was published, and not have, the server's. If
// the server knows the chain around want, the chain decides. Otherwise the replica does,
// because it was verified when it was written. If it does not have the key either, the log is
// believed.
func (v *verifier) proven(ctx context.Context, st *state, want, have *record) (bool, error) {
	if want != nil {
		if from, chain, ok := v.served.trail.before(st.position, want.Revision); ok {
			batch, err := v.storage.Changes(ctx, from, 1)
			if err != nil {
				return false, err
			}
			n := 0
			for n < len(batch.Changes) && batch.Changes[n].Revision == want.Revision {
				n++
			}
			to, err := from.Follow(batch.Changes[:n])
			return err == nil && to.Chain == chain, nil
		}
	}
	if !have.absent() && v.replica.has(st, have.Revision) {
		if e, err := v.replica.read(ctx, have.Key, 0); err == nil && have.standsFor(&e) {
			return false, nil
		}
	}
	return true, nil
}

// published returns the record that the storage's log has of key, or nil if it has none.
func (v *verifier) published(ctx context.Context, key conf.Key) (*record, error) {
	changes, err := v.storage.History(ctx, key, 0, 1)
	if err != nil || len(changes) == 0 {
		return nil, err
	}
	return recordOf(&changes[0]), nil
}
