package boltstore

import (
	"context"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

const (
	// pruneBatch is the approximate number of changes or request ids that one transaction
	// of a pruning removes. A commit waits for no more than that.
	pruneBatch = 200
	// pruneLook is the number of rows that a pruning reads in one transaction.
	pruneLook = 1000
)

// pruneAlways prunes at intervals until ctx ends. It logs once when pruning starts to
// fail and once when it works again.
func (s *Store) pruneAlways(ctx context.Context) {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for failing := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := s.Prune(ctx)
		switch {
		case ctx.Err() != nil, (err != nil) == failing:
			continue
		case err != nil:
			s.logger.Warn("history cannot be pruned; retrying", "data", s.dir, "error", err)
		default:
			s.logger.Info("history can be pruned again", "data", s.dir)
		}
		failing = err != nil
	}
}

// Prune removes the history that the retention no longer keeps, in small transactions. It
// also runs every ten minutes in the background. The file does not become smaller, but
// its free pages are reused. See [Compact].
func (s *Store) Prune(ctx context.Context) error {
	if err := s.writable(); err != nil { // even if there is nothing to prune
		return err
	}
	for more := true; more; {
		var err error
		if more, err = s.pruneLog(ctx); err != nil {
			return err
		}
	}
	return s.pruneRequests(ctx)
}

// pruneLog removes the next changes that may leave the log, and reports whether there
// were any.
func (s *Store) pruneLog(ctx context.Context) (bool, error) {
	l, err := s.look(ctx)
	if err != nil || l.upTo == 0 {
		return false, err
	}
	for more := true; more; {
		if err := s.write(ctx, func(v *view) (err error) {
			more, err = v.pruneLog(s.retention, l)
			return err
		}); err != nil {
			return false, err
		}
	}
	return true, nil
}

// look is the result of examining a log without a lock. Sets that may leave the log may
// still leave it after more were added.
type look struct {
	generation int64 // of the log
	upTo       int64 // the last revision that may leave it, or 0 for none
}

func (s *Store) look(ctx context.Context) (l look, err error) {
	if err := s.read(ctx, func(v *view) error {
		l.generation = v.generation
		return nil
	}); err != nil {
		return l, err
	}
	old, err := s.leaving(ctx, s.now())
	if err != nil {
		return l, err
	}
	beyond, err := s.beyond(ctx)
	l.upTo = max(old, beyond)
	return l, err
}

// leaving returns the revision up to which the log may be pruned, or 0 for none. It skips
// changes whose times are in the future, because a later change may prove that they are
// old. If the clock is far behind, that is the whole log, so leaving only reads and
// nobody waits for it.
func (s *Store) leaving(ctx context.Context, now time.Time) (upTo int64, err error) {
	for after, ended := int64(0), false; upTo == 0 && !ended; {
		if err := s.read(ctx, func(v *view) (err error) {
			after, upTo, ended, err = v.leaving(after, s.retention, now)
			return err
		}); err != nil {
			return 0, err
		}
	}
	return upTo, nil
}

// leaving examines some of the changes after a revision of the log. It returns the last of
// them, the last one that may leave the log or 0 for none, and whether later changes need
// not be examined.
func (v *view) leaving(after int64, retention storage.Retention, now time.Time) (last, upTo int64, ended bool, err error) {
	last = max(after, v.horizon)
	_, count, err := v.head()
	if err != nil {
		return 0, 0, false, err
	}
	c := v.log.Cursor()
	k, row := c.Seek(pointer{revision: last + 1}.bytes())
	for n := 0; k != nil && n < pruneLook; k, row = c.Next() {
		r, err := decodeRecord(k, row)
		if err != nil {
			return 0, 0, false, err
		}
		n++
		verdict := retention.Judge(r.change.Time, now)
		if verdict == storage.Keep || !r.mayLeave(count, retention) {
			return last, upTo, true, nil
		}
		if last = r.at.revision; verdict == storage.Drop {
			upTo = last
		}
	}
	return last, upTo, k == nil, nil
}

// mayLeave reports whether a log that has had count changes keeps enough of them without
// r's set and all sets before it.
func (r *record) mayLeave(count int64, retention storage.Retention) bool {
	end := r.sequence + int64(r.change.Count-r.change.Number) - 1
	return end <= count-int64(retention.Changes)
}

// pruneLog moves the horizon over some of the oldest changes that may leave the log
// according to l, and removes the versions that are then outdated. It reports whether
// there may be more, and returns errNothing if there are none.
func (v *view) pruneLog(retention storage.Retention, l look) (more bool, err error) {
	if v.generation != l.generation {
		return false, errNothing // the log was replaced meanwhile
	}
	passing := make(map[conf.Key]pointer) // the newest leaving change of each key
	looked := 0
	to := v.header // with the new horizon
	c := v.log.Cursor()
	for k, row := c.Seek(pointer{revision: v.horizon + 1}.bytes()); k != nil; k, row = c.Next() {
		r, err := decodeRecord(k, row)
		if err != nil {
			return false, err
		}
		first, last := r.change.Number == 0, r.change.Number == r.change.Count-1
		if first && (r.at.revision > l.upTo || looked >= pruneBatch) {
			break
		}
		looked++
		passing[r.change.Key] = r.at
		if last {
			to.horizon, to.chain, to.sequence = r.at.revision, r.chain, r.sequence
		}
	}
	if looked == 0 {
		return false, errNothing
	}
	v.header = to
	for key, p := range passing {
		if err := v.trim(key, p, retention); err != nil {
			return false, err
		}
	}
	return v.horizon < l.upTo, v.save(v.tx)
}

// trim removes the outdated versions of a key from p to the oldest. p is the newest
// version that has just left the log. It is enough to do so whenever a version leaves the
// log, because only then older versions can become outdated.
func (v *view) trim(key conf.Key, p pointer, retention storage.Retention) error {
	cur, err := v.row(key)
	if cur == nil || err != nil {
		return err // nil for a fork, which has no key
	}
	dead := cur.op == conf.OpDelete && cur.at == p
	r, err := v.record(p)
	for ; r != nil && err == nil; r, err = v.record(r.prev) {
		if retention.Outdated(r.ordinal, cur.ordinal, dead) {
			if err := v.log.Delete(r.at.bytes()); err != nil {
				return err
			}
		}
	}
	if err == nil && dead {
		err = v.current.Delete(keyBytes(key))
	}
	return err
}
