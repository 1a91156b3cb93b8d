package mysqlstore

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/storage"
)

const (
	// pruneBatch is the approximate number of changes or request ids that one transaction
	// of a pruning removes. A commit waits for no more than that.
	pruneBatch = 200
	// pruneLook is the number of rows that a pruning reads in one statement, without a
	// lock.
	pruneLook = 1000
	// pruneTimeout limits a reading statement and a removing transaction of a pruning. On
	// a silent connection the transaction must not block other writes for longer.
	pruneTimeout = 10 * time.Second
)

// pruneAlways prunes until ctx ends.
func (s *Store) pruneAlways(ctx context.Context) {
	// The jitter spreads the prunings of nodes that started together.
	for backoff.Sleep(ctx, backoff.Jitter(pruneEvery, 0.5)) == nil {
		if err := s.Prune(ctx); err != nil && ctx.Err() == nil {
			s.logger.Warn("history could not be pruned; retrying", "error", err)
		}
	}
}

// Prune removes the history that the retention no longer keeps, in small transactions. It
// also runs about every ten minutes in the background.
func (s *Store) Prune(ctx context.Context) error {
	for _, prune := range []func(context.Context) (bool, error){s.pruneLog, s.pruneRequests} {
		for more := true; more; {
			var err error
			if more, err = prune(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// pruneLog removes the next changes that may leave the log, and reports whether there were
// any.
func (s *Store) pruneLog(ctx context.Context) (bool, error) {
	now := s.now()
	upTo, err := s.leaving(ctx, now)
	if err != nil || upTo == 0 {
		return false, err
	}
	for more := true; more; {
		if err := s.prune(ctx, func(ctx context.Context, t *transaction) (err error) {
			more, err = t.pruneLog(ctx, s.retention, now, upTo)
			return err
		}); err != nil {
			return false, err
		}
	}
	return true, nil
}

// prune runs a transaction of a pruning with a timeout.
func (s *Store) prune(ctx context.Context, fn func(context.Context, *transaction) error) error {
	return within(ctx, pruneTimeout, func(ctx context.Context) error { return s.write(ctx, attempts, nil, fn) })
}

// look runs a reading statement of a pruning with a timeout.
func (s *Store) look(ctx context.Context, each func(*sql.Rows) error, statement string, args ...any) error {
	return within(ctx, pruneTimeout, func(ctx context.Context) error { return s.query(ctx, statement, args, each) })
}

// counter reads the counter, without its lock.
func (s *Store) counter(ctx context.Context) (c counter, err error) {
	err = s.look(ctx, func(rows *sql.Rows) error {
		fields, filled := c.fields()
		if err := rows.Scan(fields...); err != nil {
			return err
		}
		return filled()
	}, "SELECT "+counterColumns+" FROM diamond_counter WHERE id = 1")
	return c, err
}

// leaving returns the revision up to which the log may be pruned, or 0 for none. It skips
// changes whose times are in the future, because a later change may prove that they are
// old. If the clock is far behind, that is the whole log, so leaving holds no lock and
// nobody waits for it.
func (s *Store) leaving(ctx context.Context, now time.Time) (upTo int64, err error) {
	c, err := s.counter(ctx)
	if err != nil {
		return 0, err
	}
	for after, ended := c.horizon.Revision, false; upTo == 0 && !ended; {
		n := 0
		err := s.look(ctx, func(rows *sql.Rows) error {
			var m mark
			var micros int64
			if err := rows.Scan(&m.Revision, &micros, &m.changes, &m.bytes); err != nil {
				return err
			}
			n++
			verdict := c.judge(&m, time.UnixMicro(micros), s.retention, now)
			if ended = ended || verdict == storage.Keep; ended {
				return nil
			}
			if after = m.Revision; verdict == storage.Drop {
				upTo = m.Revision
			}
			return nil
		}, `SELECT revision, time_us, log_changes, log_bytes FROM diamond_change WHERE number >= 0 AND revision > ?
			ORDER BY revision, number LIMIT ?`, after, pruneLook)
		if err != nil {
			return 0, err
		}
		ended = ended || n < pruneLook
	}
	return upTo, nil
}

// judge reports whether a set of time t may leave the log, which was at m after that set.
func (c *counter) judge(m *mark, t time.Time, retention storage.Retention, now time.Time) storage.Verdict {
	switch {
	case retention.Full(c.head.bytes - m.bytes):
		return storage.Drop
	case c.head.changes-m.changes < int64(retention.Changes):
		return storage.Keep
	}
	return retention.Judge(t, now)
}

// pruneLog moves the horizon over some of the oldest changes up to upTo, and removes the
// versions that are then outdated. It reports whether there may be more, and returns
// errNothing if there are none.
func (t *transaction) pruneLog(ctx context.Context, retention storage.Retention, now time.Time, upTo int64) (more bool, err error) {
	oldest, err := t.oldest(ctx, upTo)
	if err != nil {
		return false, err
	}
	var keys []conf.Key // of the changes that leave
	for i := range oldest {
		v := &oldest[i]
		// The log may have been replaced meanwhile.
		if t.judge(&v.after, v.change.Time, retention, now) == storage.Keep {
			break
		}
		if keys = append(keys, v.change.Key); v.change.Number == v.change.Count-1 {
			t.horizon, more = v.after, true
		}
	}
	if !more {
		return false, errNothing
	}
	if err := t.save(ctx); err != nil {
		return false, err
	}
	slices.SortFunc(keys, conf.Key.Compare)
	for some := range slices.Chunk(slices.Compact(keys), keysPerStatement) {
		if err := t.trim(ctx, some, retention); err != nil {
			return false, err
		}
	}
	return t.horizon.Revision < upTo, nil
}

// oldest reads the first changes of the log up to a revision, with the columns that pruning
// needs: whole sets with about [pruneBatch] changes.
func (t *transaction) oldest(ctx context.Context, upTo int64) ([]version, error) {
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
	if err := read("revision > ? AND revision <= ? ORDER BY revision, number LIMIT ?", t.horizon.Revision, upTo, pruneBatch); err != nil || len(versions) == 0 {
		return nil, err
	}
	last := &versions[len(versions)-1].change
	return versions, read("revision = ? AND number > ? ORDER BY number", last.Revision, last.Number)
}

// trim removes the outdated versions of keys whose changes have just left the log. It is
// enough to do so whenever a change leaves the log, because only then older versions can
// become outdated.
func (t *transaction) trim(ctx context.Context, keys []conf.Key, retention storage.Retention) error {
	where, args := whereKeysOf("e.", keys)
	// This is [storage.Retention.Outdated] for all keys at once.
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
