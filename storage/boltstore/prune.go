package boltstore

import (
	"context"
	"maps"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage"
)

// pruneBatch is how many changes, or request ids, one transaction of a pruning
// looks at: commits wait for no more than that.
const pruneBatch = 200

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
	for more := true; more; {
		if err := s.write(ctx, func(v *view) (err error) {
			more, err = v.pruneLog(s.retention, s.now())
			return err
		}); err != nil {
			return err
		}
	}
	var after []byte
	for more := true; more; {
		if err := s.write(ctx, func(v *view) (err error) {
			after, err = v.pruneRequests(after, s.now())
			more = after != nil
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
func (v *view) pruneLog(retention storage.Retention, now time.Time) (more bool, err error) {
	_, count, err := v.head()
	if err != nil {
		return false, err
	}
	floor := count - int64(retention.Changes) // the count up to which changes may leave
	to := v.header                            // with the new horizon
	passing := make(map[diamond.Key]pointer)  // the newest changes of keys up to it
	pending := make(map[diamond.Key]pointer)  // the same, after it
	looked := 0
	c := v.log.Cursor()
	for k, row := c.Seek(pointer{revision: v.horizon + 1}.bytes()); k != nil; k, row = c.Next() {
		r, err := decodeRecord(k, row)
		if err != nil {
			return false, err
		}
		first, last := r.change.Number == 0, r.change.Number == r.change.Count-1
		verdict := retention.Judge(r.change.Time, now)
		end := r.sequence + int64(r.change.Count-r.change.Number) - 1 // the count after its set
		if end > floor || verdict == storage.Keep || first && looked >= pruneBatch && len(passing) > 0 {
			break
		}
		looked++
		pending[r.change.Key] = r.at
		if last && verdict == storage.Drop {
			to.horizon, to.chain, to.sequence = r.at.revision, r.chain, r.sequence
			maps.Copy(passing, pending)
			clear(pending)
		}
	}
	if len(passing) == 0 {
		return false, errNothing
	}
	v.header = to
	for key, p := range passing {
		if err := v.trim(key, p, retention); err != nil {
			return false, err
		}
	}
	return true, v.save(v.tx)
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

// pruneRequests removes the expired among some of the request ids after a row
// key, and returns the last of these, nil at the end.
func (v *view) pruneRequests(after []byte, now time.Time) ([]byte, error) {
	head, _, err := v.head()
	if err != nil {
		return nil, err
	}
	var expired [][]byte
	var last []byte
	n := 0
	c := v.requests.Cursor()
	k, row := c.Seek(append(after, 0))
	if after == nil {
		k, row = c.First()
	}
	for ; k != nil && n < pruneBatch; k, row = c.Next() {
		r, err := decodeRequest(k, row)
		if err != nil {
			return nil, err
		}
		if n, last = n+1, append([]byte(nil), k...); storage.RequestExpired(r.revision, r.time, head.Revision, now) {
			expired = append(expired, last)
		}
	}
	for _, k := range expired {
		if err := v.requests.Delete(k); err != nil {
			return nil, err
		}
	}
	if k == nil {
		last = nil
	}
	if len(expired) == 0 {
		return last, errNothing
	}
	return last, nil
}
