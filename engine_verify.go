package diamond

import (
	"context"
	"errors"
	"time"
)

const (
	// settleTries is how often a key is looked at that changes meanwhile.
	settleTries = 3
	// settlePause is how long a check pauses between two keys.
	settlePause = 50 * time.Millisecond
)

// settle finds out whether a key differs, and repairs what can be. It compares
// three things as of one position: what the storage's log says of the key, its
// current entry, and the server's record.
func (c *checker) settle(ctx context.Context, key Key) error {
	for range settleTries {
		page, row, err := c.current(ctx, c.srv.storage, key)
		if err != nil {
			return err
		}
		if err := c.srv.notBefore(ctx, page.Position, reachTimeout); err != nil {
			return err
		}
		want, err := c.published(ctx, key)
		if err != nil {
			return err
		}
		st, have := c.srv.record(key)
		if st == nil || st.position.Epoch != page.Position.Epoch {
			return nil // the feed has other worries
		}
		if isAfter(want, page.Position) || isAfter(have, page.Position) {
			continue // changed meanwhile
		}
		return c.judge(ctx, st, key, row, want, have)
	}
	return nil // it changes all the time, so the feed has it
}

// judge says which of what is known of a key is wrong, and does what there is to do.
func (c *checker) judge(ctx context.Context, st *state, key Key, row *Entry, want, have *record) error {
	revision := max(want.revision(), have.revision())
	if row != nil {
		revision = max(revision, row.Revision)
	}
	if !sameRecord(want, have) {
		right, err := c.proven(ctx, st, want, have)
		if err != nil {
			return err
		}
		if right {
			c.srv.repair(ctx, key, have, want)
			c.report("memory", key, revision, "the server's record was not what was published: it is loaded anew")
		} else {
			want = have // the log is not the one that was verified
		}
	}
	var problem error
	switch {
	case want.absent() && row == nil:
	case want.absent() || row == nil || !want.standsFor(row):
		problem = Errorf(ErrCorrupt, "the storage's entry is not what was published, as after a change by hand; what was published is served")
	default:
		problem = c.verifyStored(ctx, want)
	}
	if problem == nil {
		delete(c.known, key)
		return nil
	}
	if !errors.Is(problem, ErrCorrupt) {
		return problem
	}
	if c.known[key] != revision {
		var e *Error
		errors.As(problem, &e)
		c.report("storage", key, revision, e.Detail)
	}
	c.known[key] = revision
	return nil
}

// verifyStored reads what the storage has of r, and returns ErrCorrupt where it
// is not what was published.
func (c *checker) verifyStored(ctx context.Context, r *record) error {
	e, err := c.srv.storage.Read(ctx, r.Key, r.Revision)
	if err == nil {
		err = r.verify(&e)
	}
	switch _, now := c.srv.record(r.Key); {
	case err == nil, now != nil && now.Revision != r.Revision:
		return nil
	case errors.Is(err, ErrCorrupt), isGone(err):
		return Errorf(ErrCorrupt, "the storage's content is not what was published, as after a change by hand; a copy that the server has is served")
	}
	return err
}

// proven reports whether what the log says of a key is what was published, and
// not what the server has. The chain decides where the server knows it, else
// the copy on disk, which was verified when it was written; else the log.
func (c *checker) proven(ctx context.Context, st *state, want, have *record) (bool, error) {
	if want != nil {
		if from, chain, ok := c.srv.trail.before(st.position, want.Revision); ok {
			batch, err := c.srv.storage.Changes(ctx, from, 1)
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
	if !have.absent() && c.srv.replica.has(st, have.Revision) {
		if e, err := c.srv.replica.read(ctx, have.Key, 0); err == nil && have.standsFor(&e) {
			return false, nil
		}
	}
	return true, nil
}

// current returns the page of one that has the storage's entry of key, if
// there is one.
func (c *checker) current(ctx context.Context, from checkStorage, key Key) (Page, *Entry, error) {
	page, err := from.Scan(ctx, ScanRequest{Namespace: key.Namespace, Group: key.Group, Prefix: key.DataID, Limit: 1})
	if err != nil || len(page.Entries) == 0 || page.Entries[0].Key != key {
		return page, nil, err
	}
	return page, &page.Entries[0], nil
}

// published returns what the storage's log says of key, nil where it has no value.
func (c *checker) published(ctx context.Context, key Key) (*record, error) {
	changes, err := c.srv.storage.History(ctx, key, 0, 1)
	if err != nil || len(changes) == 0 {
		return nil, err
	}
	return recordOf(&changes[0]), nil
}
