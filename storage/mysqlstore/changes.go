package mysqlstore

import (
	"context"
	"database/sql"
	"slices"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage"
)

// maxLimit is more bytes than any log has.
const maxLimit = 1 << 60

// Changes implements [diamond.Storage]. It is one statement, which returns one
// row where nothing has changed.
func (s *Store) Changes(ctx context.Context, after diamond.Position, maxBytes int64) (diamond.Batch, error) {
	maxBytes = min(max(maxBytes, 0), maxLimit)
	batch, err := s.changes(ctx, after, after.Revision+1, maxBytes)
	if err != nil || len(batch.Changes) > 0 || batch.Head.Revision <= after.Revision {
		return batch, err
	}
	// A fork follows, and a gap of revisions is before it.
	first, err := s.next(ctx, after.Revision)
	if err != nil {
		return batch, err
	}
	return s.changes(ctx, after, first, maxBytes)
}

// The log from a revision on, beside the counter and the row of the position
// asked from. The rows of the log have sums of what the log had up to the end
// of their set: so the bound takes whole sets. It is applied to b, of which no
// content is asked for: the database fetches all columns of a row that are,
// before it looks whether the row is wanted, and so c has those that are.
// To ask for an order would have the database copy the contents to sort them.
const changesFrom = ` FROM diamond_counter k
	LEFT JOIN diamond_change a ON a.revision = ? AND a.number = 0
	LEFT JOIN diamond_change b ON b.revision >= ? AND b.revision <= ? AND b.number >= 0 AND (b.revision = ? OR
		b.log_bytes <= COALESCE(a.log_bytes, k.horizon_bytes) + ? AND b.log_changes <= COALESCE(a.log_changes, k.horizon_changes) + ?)
	LEFT JOIN diamond_change c ON c.revision = b.revision AND c.number = b.number
	WHERE k.id = 1`

// changes is Changes where the set after the position has revision first.
func (s *Store) changes(ctx context.Context, after diamond.Position, first, maxBytes int64) (diamond.Batch, error) {
	batch := diamond.Batch{Position: after}
	var refused error // by a position that is none of this log
	started := false
	var versions []version
	err := s.query(ctx, "SELECT "+anchorColumns+", "+columnsOf("c", changeColumns)+", c.content"+changesFrom,
		[]any{after.Revision, first, first + storage.MaxBatch, first, maxBytes, storage.MaxBatch},
		func(rows *sql.Rows) error {
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
					batch.Position = *at
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
		err = diamond.Errorf(diamond.ErrCorrupt, "the row of diamond_counter is missing")
	case err == nil:
		err = refused
	}
	if err != nil {
		batch.Position = after
		return batch, err
	}
	slices.SortFunc(versions, version.compare)
	for i := range versions {
		v := &versions[i]
		if v.change.Number == 0 && v.change.Op != diamond.OpFork && v.change.Revision != batch.Position.Revision+1 {
			err := diamond.Errorf(diamond.ErrCorrupt, "revision %d follows %d", v.change.Revision, batch.Position.Revision)
			return diamond.Batch{Head: batch.Head, Position: after}, err
		}
		batch.Changes = append(batch.Changes, v.change)
		batch.Position.Revision, batch.Position.Epoch, batch.Position.Chain = v.change.Revision, v.epoch, v.chain
	}
	return batch, nil
}

// checkAfter says whether the changes after a position can be had, given the
// position of the log at its revision, nil where there is none.
func checkAfter(after, horizon, head diamond.Position, at *diamond.Position) error {
	if err := storage.CheckAfter(after, horizon, head); err != nil {
		return err
	}
	if at == nil {
		return diamond.Errorf(diamond.ErrEpoch, "there is no revision %d", after.Revision)
	}
	if at.Chain != after.Chain {
		return diamond.Errorf(diamond.ErrEpoch, "revision %d has chain %v, not %v", after.Revision, at.Chain, after.Chain)
	}
	return nil
}

// next returns the revision of the set that follows a revision in the log.
func (s *Store) next(ctx context.Context, revision int64) (int64, error) {
	first := int64(0)
	err := s.query(ctx, "SELECT revision FROM diamond_change WHERE revision > ? AND number = 0 ORDER BY revision LIMIT 1", []any{revision},
		func(rows *sql.Rows) error { return rows.Scan(&first) })
	if err == nil && first == 0 {
		err = diamond.Errorf(diamond.ErrCorrupt, "the changes after revision %d are missing", revision)
	}
	return first, err
}

const anchorColumns = "k.store, k.revision, k.generation, k.epoch, k.chain, k.horizon, k.horizon_generation, k.horizon_epoch, k.horizon_chain, " +
	"a.generation, a.epoch, a.chain"

// anchorRow is where [anchorColumns] are scanned to: the head, the horizon, and
// the position asked from, where the log has its row. It is valid until the
// next one is.
type anchorRow struct {
	store          sql.RawBytes
	revisions      [2]int64 // of head and horizon
	generations    [3]sql.NullInt64
	epochs, chains [3]sql.RawBytes
}

func (r *anchorRow) fields() []any {
	return []any{
		&r.store, &r.revisions[0], &r.generations[0], &r.epochs[0], &r.chains[0],
		&r.revisions[1], &r.generations[1], &r.epochs[1], &r.chains[1],
		&r.generations[2], &r.epochs[2], &r.chains[2],
	}
}

// positions sets head, and returns the horizon and the position at revision,
// nil where the log has none.
func (r *anchorRow) positions(head *diamond.Position, revision int64) (horizon diamond.Position, at *diamond.Position, err error) {
	position := func(i int, revision int64) (p diamond.Position) {
		p.Revision, p.Epoch.Generation = revision, r.generations[i].Int64
		for _, f := range []struct{ dst, src []byte }{{p.Store[:], r.store}, {p.Epoch.ID[:], r.epochs[i]}, {p.Chain[:], r.chains[i]}} {
			if err == nil {
				err = fixed(f.dst, f.src)
			}
		}
		return p
	}
	*head, horizon = position(0, r.revisions[0]), position(1, r.revisions[1])
	if revision == horizon.Revision {
		at = &horizon
	} else if r.generations[2].Valid {
		anchor := position(2, revision)
		at = &anchor
	}
	return horizon, at, err
}
