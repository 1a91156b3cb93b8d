package memstore

import (
	"slices"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage"
)

// late is what the defect [seeded.AutoincFeed] needs to know.
type late struct {
	issued int64    // the highest revision that was handed out
	held   []logged // have theirs, and cannot be seen yet
}

// commitLate hands out a revision, and now and then has what comes after it be
// seen first.
func (s *Store) commitLate(set *diamond.ChangeSet, now time.Time) diamond.Result {
	at := s.head
	at.Revision = max(at.Revision, s.late.issued)
	changes, after, err := storage.Plan(at, set, now, func(k diamond.Key) (storage.Current, error) {
		return s.items[k].current(), nil
	})
	if err != nil {
		return diamond.Result{Err: err}
	}
	s.late.issued = after.Revision
	s.origin = written
	s.requests.add(set, after, now)
	if after.Revision%8 == 0 && len(s.late.held) == 0 {
		s.late.held = append(s.late.held, logged{changes, after})
		return diamond.Result{Position: after}
	}
	s.add(changes, after)
	for _, l := range s.late.held {
		s.add(l.changes, l.after)
	}
	s.late.held = nil
	return diamond.Result{Position: after}
}

// byContent returns set with conditions that hold where the key has the content
// again that it had at the revision asked for.
func (s *Store) byContent(set *diamond.ChangeSet) *diamond.ChangeSet {
	c := *set
	c.Drafts = slices.Clone(set.Drafts)
	for i := range c.Drafts {
		d := &c.Drafts[i]
		if d.IfRevision == nil || *d.IfRevision == 0 || s.items[d.Key].revision() == 0 {
			continue
		}
		then, now := s.items[d.Key].at(*d.IfRevision), s.items[d.Key].newest()
		if then != nil && then.change.MD5 == now.change.MD5 {
			d.IfRevision = &now.change.Revision
		}
	}
	return &c
}
