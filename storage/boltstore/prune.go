package boltstore

import (
	"context"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage"
)

const (
	// pruneBatch is about how many changes, or request ids, one transaction of a
	// pruning removes: commits wait for no more than that.
	pruneBatch = 200
	// pruneLook is how many rows a pruning looks at in one transaction that reads.
	pruneLook = 1000
)

// pruneAlways prunes until ctx ends. What fails is tried again; that it begins
// to fail, and that it works again, is logged once each.
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
			s.logger.Warn("history cannot be pruned; it is tried again", "data", s.dir, "error", err)
		default:
			s.logger.Info("history can be pruned again", "data", s.dir)
		}
		failing = err != nil
	}
}

// Prune removes at once what retention no longer keeps, in small transactions.
// It also runs every ten minutes by itself. The file does not become smaller;
// its free pages are used again. See [Compact].
func (s *Store) Prune(ctx context.Context) error {
	if err := s.writable(); err != nil { // whether anything would go or not
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

// pruneLog looks for the next changes that may leave the log, has them leave,
// and reports whether there were any.
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

// look is what was found of a log without a lock. That sets may leave it stays so,
// whatever is added to it.
type look struct {
	generation int64 // of the log
	upTo       int64 // the last revision that may leave it, 0: none may
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

// leaving returns a revision up to which the log may be pruned, 0 where it may
// not be. What is from the future is passed over, to find out what the next
// changes prove; a clock far behind makes that of the whole log. So nobody waits
// for it: it reads.
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

// leaving looks at some of the changes after a revision of the log. It returns
// the last of these, the last that may leave the log, 0 where none may, and
// whether those that follow decide nothing more.
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

// mayLeave reports whether a log that has had count changes keeps enough without
// r's set and all before it.
func (r *record) mayLeave(count int64, retention storage.Retention) bool {
	end := r.sequence + int64(r.change.Count-r.change.Number) - 1
	return end <= count-int64(retention.Changes)
}

// pruneLog moves the horizon over some of the oldest changes that were found to be
// ones that may leave the log, and removes the versions that are then outdated. It
// returns errNothing where there are none, and whether there may be more.
func (v *view) pruneLog(retention storage.Retention, l look) (more bool, err error) {
	if v.generation != l.generation {
		return false, errNothing // it is another log by now
	}
	passing := make(map[diamond.Key]pointer) // the newest changes of keys that leave
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

// trim removes the outdated versions of a key from p on, its newest one that
// has just left the log, to the oldest. To do so each time that one leaves is
// enough: no version can become outdated that has no newer one in the log.
func (v *view) trim(key diamond.Key, p pointer, retention storage.Retention) error {
	cur, err := v.row(key)
	if cur == nil || err != nil {
		return err // nil for a fork, which has no key
	}
	dead := cur.op == diamond.OpDelete && cur.at == p
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
