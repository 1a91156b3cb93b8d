package mysqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// Commit implements [diamond.Storage]. The number of round trips does not depend on the
// number of sets, unless statements would become too large.
//
// Most request ids are new, so Commit does not look them up first. A known one fails as a
// duplicate key.
func (s *Store) Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	if err := storage.CheckCommit(sets); err != nil {
		return nil, err
	}
	results := make([]conf.Result, len(sets))
	for lookUp := false; ; lookUp = true {
		duplicate := false
		err := s.write(ctx, attempts, keysOf(sets), func(ctx context.Context, t *transaction) error {
			if err := t.caughtUp(); err != nil {
				return err
			}
			c, err := t.plan(ctx, sets, results, s.now(), lookUp)
			switch {
			case err != nil:
				return err
			case len(c.changes) == 0:
				return errNothing
			}
			t.origin = written
			err = t.insert(ctx, requestTable(), c.requests)
			if duplicate = isDuplicate(err); err != nil {
				return err
			}
			return c.flush(ctx)
		})
		switch {
		case err == nil:
			return results, nil
		case !duplicate || lookUp:
			return nil, err
		}
	}
}

// plan decides the results of sets. It changes nothing that a second plan needs: no row is
// from an installation, because the store has caught up. If a set with a request id fails,
// plan looks the ids up, because the set may have succeeded earlier.
func (t *transaction) plan(ctx context.Context, sets []conf.ChangeSet, results []conf.Result, now time.Time, lookUp bool) (*committer, error) {
	before := t.counter
	c := &committer{writer: t.writer(), now: now, outcomes: make(map[requestID]*outcome)}
	if lookUp {
		var err error
		if c.outcomes, err = t.outcomes(ctx, sets); err != nil {
			return nil, err
		}
	}
	for i := range sets {
		results[i] = c.commit(&sets[i])
		if !lookUp && results[i].Err != nil && sets[i].RequestID != "" {
			t.counter = before
			return t.plan(ctx, sets, results, now, true)
		}
	}
	return c, nil
}

func keysOf(sets []conf.ChangeSet) []conf.Key {
	var keys []conf.Key
	for i := range sets {
		for j := range sets[i].Drafts {
			keys = append(keys, sets[i].Drafts[j].Key)
		}
		for j := range sets[i].Deletes {
			keys = append(keys, sets[i].Deletes[j].Key)
		}
		for j := range sets[i].Checks {
			keys = append(keys, sets[i].Checks[j].Key)
		}
	}
	return keys
}

// committer commits the sets of one transaction one after the other.
type committer struct {
	*writer
	now      time.Time
	outcomes map[requestID]*outcome
	requests [][]any // rows to be written
}

func (c *committer) commit(set *conf.ChangeSet) conf.Result {
	var id requestID
	if set.RequestID != "" {
		id = requestOf(set)
		if first := c.outcomes[id]; first != nil {
			return first.result(set)
		}
	}
	changes, after, err := storage.Plan(c.head.Position, set, c.now, func(k conf.Key) (storage.Current, error) {
		return c.current[k].known(), nil
	})
	for i := range changes {
		if err == nil {
			err = c.fits(&changes[i])
		}
	}
	if err != nil {
		return conf.Result{Err: err}
	}
	c.add(changes, after)
	if set.RequestID != "" {
		o := &outcome{set.RequestHash(), after}
		c.outcomes[id] = o
		c.requests = append(c.requests, o.values(id, c.now))
	}
	return conf.Result{Position: after, Changes: changes}
}

// Fork implements [diamond.Storage].
func (s *Store) Fork(ctx context.Context, verified conf.Position) (conf.Position, error) {
	var after conf.Position
	err := s.write(ctx, attempts, nil, func(ctx context.Context, t *transaction) error {
		at := t.head.Position
		at.Revision = max(at.Revision, t.ahead)
		held, err := t.has(ctx, verified)
		if err != nil {
			return err
		}
		change, forked, err := storage.PlanFork(at, verified, held, s.now())
		if err != nil {
			return err
		}
		if after = t.head.Position; change == nil {
			return errNothing
		}
		after = forked
		if err := t.whole(ctx); err != nil {
			return err
		}
		w := t.writer()
		w.add([]conf.Change{*change}, forked)
		t.origin = written
		return w.flush(ctx)
	})
	if err != nil {
		return conf.Position{}, err
	}
	return after, nil
}

// has reports whether the log has the revision of a position with its chain.
func (t *transaction) has(ctx context.Context, p conf.Position) (held bool, err error) {
	switch {
	case p.Revision > t.head.Revision:
		return false, nil // regardless of the rows; see whole
	case p.Revision == t.horizon.Revision:
		return p.Chain == t.horizon.Chain, nil
	}
	err = t.query(ctx, "SELECT chain FROM diamond_change WHERE revision = ? AND number = 0", []any{p.Revision},
		func(rows *sql.Rows) error {
			var chain sql.RawBytes
			err := rows.Scan(&chain)
			held = bytes.Equal(chain, p.Chain[:])
			return err
		})
	return held, err
}

// whole refuses to begin a new epoch while the log does not end at the counter's revision.
// While a dump is loaded table by table, changes that seem lost are only not there yet, and
// the rest of the dump would overwrite the new epoch.
func (t *transaction) whole(ctx context.Context) error {
	end := t.horizon.Position
	err := t.query(ctx, "SELECT revision, chain FROM diamond_change WHERE number >= 0 ORDER BY revision DESC, number DESC LIMIT 1", nil,
		func(rows *sql.Rows) error {
			var chain sql.RawBytes
			if err := rows.Scan(&end.Revision, &chain); err != nil {
				return err
			}
			return fixed(end.Chain[:], chain)
		})
	if err == nil && (end.Revision != t.head.Revision || end.Chain != t.head.Chain) {
		err = conf.Errorf(conf.ErrUnavailable,
			"the log ends at revision %d, and diamond_counter is at %d: is a dump being loaded?", end.Revision, t.head.Revision)
	}
	return err
}
