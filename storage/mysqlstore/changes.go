package mysqlstore

import (
	"context"
	"database/sql"
	"math"
	"slices"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// maxLimit is larger than the size of any log in bytes.
const maxLimit = 1 << 60

// Changes implements [diamond.Storage]. It runs one statement if the rest of the log fits
// into a batch, as it does unless a reader is far behind. If nothing has changed, the
// statement returns one row.
func (s *Store) Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error) {
	maxBytes = min(max(maxBytes, 0), maxLimit)
	// The condition is part of the start of the range. As a separate condition, it would
	// make the database read the rows first.
	batch, anchor, err := s.changes(ctx, after, `c.revision > IF(k.log_changes - COALESCE(a.log_changes, k.horizon_changes) <= ? AND
		k.log_bytes - COALESCE(a.log_bytes, k.horizon_bytes) <= ?, ?, ?)`, storage.MaxBatch, maxBytes, after.Revision, int64(math.MaxInt64))
	if err != nil || len(batch.Changes) > 0 || batch.Head.Revision <= after.Revision {
		return batch, err
	}
	last, err := s.last(ctx, anchor, batch.Head.Revision, maxBytes)
	if err != nil {
		return conf.Batch{Position: after, Head: batch.Head}, err
	}
	batch, _, err = s.changes(ctx, after, "c.revision > ? AND c.revision <= ?", after.Revision, last)
	return batch, err
}

// last returns the last revision of a batch after a mark of the log. The batch has as many
// sets as fit, and at least one. The sums in the rows grow from set to set, so last
// searches in steps that double and then halve, instead of reading all rows.
func (s *Store) last(ctx context.Context, after mark, head, maxBytes int64) (int64, error) {
	first, err := s.from(ctx, after.Revision+1)
	if err == nil && first.Revision == 0 {
		err = conf.Errorf(conf.ErrCorrupt, "the changes after revision %d are missing", after.Revision)
	}
	if err != nil {
		return 0, err
	}
	fits, beyond := first.Revision, min(head+1, first.Revision+storage.MaxBatch) // each set has a change
	for step := int64(1); beyond-fits > 1; step *= 2 {
		ask := fits + min(step, (beyond-fits)/2)
		at, err := s.from(ctx, ask)
		if err != nil {
			return 0, err
		}
		none := at.Revision == 0 || at.Revision >= beyond
		if none || at.changes-after.changes > storage.MaxBatch || at.bytes-after.bytes > maxBytes {
			beyond = ask
		} else {
			fits = at.Revision
		}
	}
	return fits, nil
}

// from returns the mark after the first set of the log from a revision on, or zero if
// there is none.
func (s *Store) from(ctx context.Context, revision int64) (m mark, err error) {
	err = s.query(ctx, "SELECT revision, log_changes, log_bytes FROM diamond_change WHERE revision >= ? AND number >= 0 ORDER BY revision, number LIMIT 1",
		[]any{revision}, func(rows *sql.Rows) error { return rows.Scan(&m.Revision, &m.changes, &m.bytes) })
	return m, err
}

// changes reads the changes after a position that match a condition, together with the
// counter and the row of that position. It does not ask for an order, because the database
// would copy the contents to sort them.
func (s *Store) changes(ctx context.Context, after conf.Position, condition string, args ...any) (conf.Batch, mark, error) {
	batch := conf.Batch{Position: after}
	var from mark
	var refused error // because the position does not belong to this log
	started := false
	var versions []version
	err := s.query(ctx, "SELECT "+anchorColumns+", "+columnsOf("c", changeColumns)+`, c.content FROM diamond_counter k
		LEFT JOIN diamond_change a ON a.revision = ? AND a.number = 0
		LEFT JOIN diamond_change c ON c.number >= 0 AND `+condition+" WHERE k.id = 1",
		append([]any{after.Revision}, args...), func(rows *sql.Rows) error {
			var anchor anchorRow
			var row changeRow
			if err := rows.Scan(append(anchor.fields(), row.fields(true)...)...); err != nil {
				return err
			}
			if !started {
				started = true
				horizon, at, err := anchor.positions(&batch.Head, after.Revision)
				if err != nil {
					return err
				}
				if refused = checkAfter(after, horizon, batch.Head, at); refused == nil {
					batch.Position, from = at.Position, *at
				}
			}
			if refused != nil || !row.there() {
				return nil
			}
			v, err := row.version(true)
			versions = append(versions, v)
			return err
		})
	switch {
	case err == nil && !started:
		err = noCounter()
	case err == nil:
		err = refused
	}
	if err != nil {
		batch.Position = after
		return batch, from, err
	}
	slices.SortFunc(versions, version.compare)
	for i := range versions {
		v := &versions[i]
		if v.change.Number == 0 && v.change.Op != conf.OpFork && v.change.Revision != batch.Position.Revision+1 {
			err := conf.Errorf(conf.ErrCorrupt, "revision %d follows %d", v.change.Revision, batch.Position.Revision)
			return conf.Batch{Head: batch.Head, Position: after}, from, err
		}
		batch.Changes = append(batch.Changes, v.change)
		batch.Position.Revision, batch.Position.Epoch, batch.Position.Chain = v.change.Revision, v.epoch, v.chain
	}
	return batch, from, nil
}

// PositionAt implements [diamond.Storage].
func (s *Store) PositionAt(ctx context.Context, revision int64) (conf.Position, error) {
	var found conf.Position
	counted := false
	err := s.query(ctx, "SELECT "+anchorColumns+" FROM diamond_counter k LEFT JOIN diamond_change a ON a.revision = ? AND a.number = 0 WHERE k.id = 1",
		[]any{revision}, func(rows *sql.Rows) error {
			counted = true
			var anchor anchorRow
			if err := rows.Scan(anchor.fields()...); err != nil {
				return err
			}
			var head conf.Position
			horizon, at, err := anchor.positions(&head, revision)
			if err != nil {
				return err
			}
			if err := storage.CheckAt(revision, horizon, head); err != nil {
				return err
			}
			if at == nil {
				return storage.NoRevision(revision)
			}
			found = at.Position
			return nil
		})
	if err == nil && !counted {
		err = noCounter()
	}
	return found, err
}

// checkAfter returns an error if the changes after a position are not available. at is the
// position of the log at that revision, or nil if there is none.
func checkAfter(after, horizon, head conf.Position, at *mark) error {
	if err := storage.CheckAfter(after, horizon, head); err != nil {
		return err
	}
	if at == nil {
		return conf.Errorf(conf.ErrEpoch, "there is no revision %d", after.Revision)
	}
	if at.Chain != after.Chain {
		return conf.Errorf(conf.ErrEpoch, "revision %d has chain %v, not %v", after.Revision, at.Chain, after.Chain)
	}
	return nil
}

const anchorColumns = "k.store, k.revision, k.generation, k.epoch, k.chain, k.horizon, k.horizon_generation, k.horizon_epoch, k.horizon_chain, " +
	"a.generation, a.epoch, a.chain, COALESCE(a.log_changes, k.horizon_changes), COALESCE(a.log_bytes, k.horizon_bytes)"

// anchorRow is the target for scanning [anchorColumns]: the head, the horizon, and the
// starting position, if the log has its row. It is valid until the next row is scanned.
type anchorRow struct {
	store          sql.RawBytes
	revisions      [2]int64 // of head and horizon
	generations    [3]sql.NullInt64
	epochs, chains [3]sql.RawBytes
	changes, bytes int64 // of the log, up to the position or the horizon
}

func (r *anchorRow) fields() []any {
	return []any{
		&r.store, &r.revisions[0], &r.generations[0], &r.epochs[0], &r.chains[0],
		&r.revisions[1], &r.generations[1], &r.epochs[1], &r.chains[1],
		&r.generations[2], &r.epochs[2], &r.chains[2], &r.changes, &r.bytes,
	}
}

// positions sets head. It returns the horizon and the mark at revision, or nil if the log
// has none.
func (r *anchorRow) positions(head *conf.Position, revision int64) (horizon conf.Position, at *mark, err error) {
	position := func(i int, revision int64) (p conf.Position) {
		p.Revision, p.Epoch.Generation = revision, r.generations[i].Int64
		if err == nil {
			err = storeID(&p.Store, r.store)
		}
		for _, f := range []struct{ dst, src []byte }{{p.Epoch.ID[:], r.epochs[i]}, {p.Chain[:], r.chains[i]}} {
			if err == nil {
				err = fixed(f.dst, f.src)
			}
		}
		return p
	}
	*head, horizon = position(0, r.revisions[0]), position(1, r.revisions[1])
	if revision == horizon.Revision {
		at = &mark{horizon, r.changes, r.bytes}
	} else if r.generations[2].Valid {
		at = &mark{position(2, revision), r.changes, r.bytes}
	}
	return horizon, at, err
}
