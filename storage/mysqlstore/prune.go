package mysqlstore

import (
	"context"
	"database/sql"
	"slices"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/storage"
)

// pruneBatch is about how many changes, or request ids, one transaction of a
// pruning removes: commits wait for no more than that.
const pruneBatch = 200

// pruneAlways prunes until ctx ends.
func (s *Store) pruneAlways(ctx context.Context) {
	// Nodes that were started together do not all prune together.
	for backoff.Sleep(ctx, backoff.Jitter(pruneEvery, 0.5)) == nil {
		if err := s.Prune(ctx); err != nil && ctx.Err() == nil {
			s.logger.Warn("history could not be pruned; it is tried again", "error", err)
		}
	}
}

// Prune removes at once what retention no longer keeps, in small transactions.
// It also runs about every ten minutes by itself.
func (s *Store) Prune(ctx context.Context) error {
	for more := true; more; {
		if err := s.write(ctx, attempts, nil, func(ctx context.Context, t *transaction) (err error) {
			more, err = t.pruneLog(ctx, s.retention, s.now())
			return err
		}); err != nil {
			return err
		}
	}
	for more := true; more; {
		if err := s.write(ctx, attempts, nil, func(ctx context.Context, t *transaction) (err error) {
			more, err = t.pruneRequests(ctx, s.now())
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// pruneLog moves the horizon over some of the oldest changes, if they may
// leave the log, and removes the versions that are then outdated. It returns
// errNothing where none may, and whether there may be more.
func (t *transaction) pruneLog(ctx context.Context, retention storage.Retention, now time.Time) (more bool, err error) {
	floor := t.head.changes - int64(retention.Changes) // the count up to which changes may leave
	var keys []diamond.Key                             // of the changes that leave
	moved, ended := false, false
	// What is from the future is passed over, to find out what the next ones prove.
	for after := t.horizon.Revision; !moved && !ended; {
		oldest, err := t.oldest(ctx, after)
		if err != nil {
			return false, err
		}
		ended = len(oldest) == 0
		for i := range oldest {
			v := &oldest[i]
			verdict := retention.Judge(v.change.Time, now)
			if ended = v.after.changes > floor || verdict == storage.Keep; ended {
				break
			}
			keys, after = append(keys, v.change.Key), v.change.Revision
			if last := v.change.Number == v.change.Count-1; last && verdict == storage.Drop {
				t.horizon, moved = v.after, true
			}
		}
	}
	if !moved {
		return false, errNothing
	}
	if err := t.save(ctx); err != nil {
		return false, err
	}
	slices.SortFunc(keys, diamond.Key.Compare)
	for some := range slices.Chunk(slices.Compact(keys), keysPerStatement) {
		if err := t.trim(ctx, some, retention); err != nil {
			return false, err
		}
	}
	return true, nil
}

// oldest reads the first changes of the log after a revision, as far as pruning
// needs them: whole sets, some [pruneBatch] changes.
func (t *transaction) oldest(ctx context.Context, after int64) ([]version, error) {
	var versions []version
	read := func(condition string, args ...any) error {
		return t.query(ctx, `SELECT revision, number, set_size, namespace, grp, data_id, time_us, generation, epoch, chain, log_changes, log_bytes
			FROM diamond_change WHERE number >= 0 AND `+condition, args, func(rows *sql.Rows) error {
			var v version
			var micros int64
			var epoch, chain sql.RawBytes
			c, a := &v.change, &v.after
			if err := rows.Scan(&c.Revision, &c.Number, &c.Count, &c.Key.Namespace, &c.Key.Group, &c.Key.DataID, &micros,
				&a.Epoch.Generation, &epoch, &chain, &a.changes, &a.bytes); err != nil {
				return err
			}
			c.Time = time.UnixMicro(micros)
			a.Store, a.Revision = t.head.Store, c.Revision
			versions = append(versions, v)
			a = &versions[len(versions)-1].after
			if err := fixed(a.Epoch.ID[:], epoch); err != nil {
				return err
			}
			return fixed(a.Chain[:], chain)
		})
	}
	if err := read("revision > ? ORDER BY revision, number LIMIT ?", after, pruneBatch); err != nil || len(versions) == 0 {
		return nil, err
	}
	last := &versions[len(versions)-1].change
	return versions, read("revision = ? AND number > ? ORDER BY number", last.Revision, last.Number)
}

// trim removes the outdated versions of keys of which changes have just left
// the log. To do so each time that one leaves is enough: no version can become
// outdated that has no newer one in the log.
func (t *transaction) trim(ctx context.Context, keys []diamond.Key, retention storage.Retention) error {
	where, args := whereKeysOf("e.", keys)
	// [storage.Retention.Outdated], for all at once.
	if err := t.exec(ctx, `DELETE c FROM diamond_entry e JOIN diamond_change c
		ON c.namespace = e.namespace AND c.grp = e.grp AND c.data_id = e.data_id AND c.revision <= ?
		WHERE (e.ordinal - c.ordinal >= ? OR e.op = 2 AND e.revision <= ?) AND `+where,
		append([]any{t.horizon.Revision, int64(retention.Versions), t.horizon.Revision}, args...)...); err != nil {
		return err
	}
	where, args = whereKeysOf("", keys)
	return t.exec(ctx, "DELETE FROM diamond_entry WHERE op = 2 AND revision <= ? AND "+where,
		append([]any{t.horizon.Revision}, args...)...)
}

// pruneRequests removes some of the expired request ids, as
// [storage.RequestExpired] has it. It returns errNothing where there are none,
// and looks no further than at the first that its time keeps: the counter is
// locked, and there may be a day's worth of them.
func (t *transaction) pruneRequests(ctx context.Context, now time.Time) (more bool, err error) {
	newest, oldest := t.head.Revision-storage.RequestIDFloor, now.Add(-storage.RequestIDAge).UnixMicro()
	for after, n := int64(0), pruneBatch; n == pruneBatch; {
		n = 0
		expired, kept := false, false
		if err := t.query(ctx, "SELECT revision, time_us FROM diamond_request WHERE revision > ? AND revision <= ? ORDER BY revision LIMIT ?",
			[]any{after, newest, pruneBatch}, func(rows *sql.Rows) error {
				var micros int64
				err := rows.Scan(&after, &micros)
				n++
				expired = expired || micros < oldest
				kept = kept || micros >= oldest && micros <= now.UnixMicro() // what is from the future is passed over
				return err
			}); err != nil {
			return false, err
		}
		if expired {
			return !kept && n == pruneBatch, t.exec(ctx, "DELETE FROM diamond_request WHERE revision <= ? AND time_us < ?", after, oldest)
		}
		if kept {
			break
		}
	}
	return false, errNothing
}
