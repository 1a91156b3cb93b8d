package diamond

import (
	"context"
	"errors"
)

// checkReplica compares the copy on disk with what is served, and has it made anew
// where it differs.
func (c *checker) checkReplica(ctx context.Context) error {
	if st := c.srv.state.Load(); st == nil || !c.srv.replica.has(st, 1) {
		return nil // it is being made
	}
	local := c.srv.replica.local
	var suspects []Key
	err := c.compareRecords(ctx, local, func(key Key) { suspects = append(suspects, key) })
	if err == nil {
		c.copied, err = c.walkContents(ctx, local, c.copied, func(r *record) { suspects = append(suspects, r.Key) })
	}
	switch {
	case errors.Is(err, ErrCorrupt):
		c.srv.replica.damage(err)
		return nil
	case err != nil:
		return err
	}
	for _, key := range suspects { // the first that differs ends it
		revision, differs, err := c.differsInReplica(ctx, key)
		if err != nil {
			return err
		}
		if differs {
			c.report("replica", key, revision, "the replica was not what is served: it is made anew")
			c.srv.replica.damage(Errorf(ErrCorrupt, "revision %d of %s is not what was published", revision, key))
			return nil
		}
	}
	return nil
}

// differsInReplica reports whether the copy differs in a key from what is served,
// though it has reached what is served of it.
func (c *checker) differsInReplica(ctx context.Context, key Key) (revision int64, differs bool, err error) {
	page, e, err := c.current(ctx, c.srv.replica.local, key)
	if err != nil {
		return 0, errors.Is(err, ErrCorrupt), ignoreCorrupt(err)
	}
	st, r := c.srv.record(key)
	switch {
	case st == nil || page.Position.Epoch != st.position.Epoch || isAfter(r, page.Position):
		return 0, false, nil // it is about to get there
	case r.absent():
		if e == nil || e.Revision > st.position.Revision || page.Position != st.position {
			return 0, false, nil
		}
		return e.Revision, true, nil
	case e == nil || !r.standsFor(e):
		ahead := page.Position.Revision > st.position.Revision
		return r.Revision, !ahead, nil
	}
	full, err := c.srv.replica.local.Read(ctx, key, r.Revision)
	if err == nil {
		err = r.verify(&full)
	}
	return r.Revision, errors.Is(err, ErrCorrupt) || isGone(err), nil
}

func ignoreCorrupt(err error) error {
	if errors.Is(err, ErrCorrupt) {
		return nil
	}
	return err
}
