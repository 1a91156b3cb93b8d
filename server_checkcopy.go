package diamond

import (
	"context"
	"errors"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

// copyCheckPause is how long a check pauses between two pages of the copy on disk.
const copyCheckPause = 100 * time.Millisecond

// checkCopy compares the copy on disk with what is served, and has it made anew
// where it differs.
func (c *checker) checkCopy(ctx context.Context) error {
	if st := c.srv.state.Load(); st == nil || !c.srv.copy.has(st, 1) {
		return nil // it is being made
	}
	local := c.srv.copy.local
	var suspects []Key
	var paused error
	paced := func(yield func(Page, error) bool) {
		for page, err := range pages(ctx, local, false, all) {
			if paused = backoff.Sleep(ctx, copyCheckPause); paused != nil || !yield(page, err) || err != nil {
				return
			}
		}
	}
	err := merge(c.records, paced, func(r *record, e *Entry) error {
		switch {
		case r == nil:
			suspects = append(suspects, e.Key)
		case e == nil || !r.standsFor(e):
			suspects = append(suspects, r.Key)
		}
		return nil
	})
	if err == nil && paused == nil {
		c.copied, err = c.walkContents(ctx, local, c.copied, copyCheckPause, func(r *record, _ error) {
			suspects = append(suspects, r.Key)
		})
	}
	switch {
	case paused != nil:
		return paused
	case errors.Is(err, ErrCorrupt):
		c.srv.copy.damage(err)
		return nil
	case err != nil:
		return err
	}
	for _, key := range suspects[:min(len(suspects), maxSuspects)] {
		revision, differs, err := c.differsInCopy(ctx, key)
		if err != nil {
			return err
		}
		if differs {
			c.report("replica", key, revision, "the replica was not what is served: it is made anew")
			c.srv.copy.damage(Errorf(ErrCorrupt, "revision %d of %s is not what was published", revision, key))
			return nil
		}
	}
	return nil
}

// differsInCopy reports whether the copy differs in a key from what is served,
// though it has reached what is served of it.
func (c *checker) differsInCopy(ctx context.Context, key Key) (revision int64, differs bool, err error) {
	page, e, err := c.current(ctx, c.srv.copy.local, key)
	if err != nil {
		return 0, errors.Is(err, ErrCorrupt), ignoreCorrupt(err)
	}
	st, r := c.srv.record(key)
	switch {
	case st == nil || page.Position.Epoch != st.position.Epoch || newer(r, page.Position):
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
	full, err := c.srv.copy.local.Read(ctx, key, r.Revision)
	if err == nil {
		err = r.verify(&full)
	}
	return r.Revision, errors.Is(err, ErrCorrupt) || gone(err), nil
}

func ignoreCorrupt(err error) error {
	if errors.Is(err, ErrCorrupt) {
		return nil
	}
	return err
}
