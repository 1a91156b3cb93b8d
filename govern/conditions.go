package govern

import (
	"slices"

	"github.com/linnaname/gdiamond/conf"
)

// conditions are what must be committed together with a set, so that what allowed the set
// still holds then.
type conditions struct {
	// checks are the documents that a decision rests on. One on a key that the set writes
	// itself stands for IfRevision.
	checks []conf.Check
	// touched are documents that are written again as they are. Two sets that touch the same
	// one cannot both be committed without knowing of each other, where neither writes what
	// the other reads.
	touched []conf.Draft
}

// rest adds checks.
func (c *conditions) rest(checks ...conf.Check) { c.checks = append(c.checks, checks...) }

// addTo returns a copy of a canonical set with the conditions. Conditions of the caller on
// the same keys stay as they are: if they hold at commit and the caller's revision is
// another one, the set fails as the caller asked.
func (c *conditions) addTo(set *conf.ChangeSet) *conf.ChangeSet {
	with := *set
	with.Drafts = slices.Clone(set.Drafts)
	with.Deletes = slices.Clone(set.Deletes)
	with.Checks = slices.Clone(set.Checks)
	for _, d := range c.touched {
		if draftOf(&with, d.Key) == nil && deleteOf(&with, d.Key) == nil {
			with.Drafts = append(with.Drafts, d)
			with.Checks = slices.DeleteFunc(with.Checks, func(check conf.Check) bool {
				// The draft carries the condition; where the caller's is another one, it decides.
				if check.Key == d.Key {
					with.Drafts[len(with.Drafts)-1].IfRevision = conf.Revision(check.Revision)
				}
				return check.Key == d.Key
			})
		}
	}
	for _, check := range c.checks {
		if d := draftOf(&with, check.Key); d != nil {
			if d.IfRevision == nil {
				d.IfRevision = conf.Revision(check.Revision)
			}
			continue
		}
		if d := deleteOf(&with, check.Key); d != nil {
			if d.IfRevision == nil && check.Revision > 0 {
				d.IfRevision = conf.Revision(check.Revision)
			}
			continue
		}
		if !slices.ContainsFunc(with.Checks, func(o conf.Check) bool { return o.Key == check.Key }) {
			with.Checks = append(with.Checks, check)
		}
	}
	return &with
}

func draftOf(set *conf.ChangeSet, key conf.Key) *conf.Draft {
	for i := range set.Drafts {
		if set.Drafts[i].Key == key {
			return &set.Drafts[i]
		}
	}
	return nil
}

func deleteOf(set *conf.ChangeSet, key conf.Key) *conf.Delete {
	for i := range set.Deletes {
		if set.Deletes[i].Key == key {
			return &set.Deletes[i]
		}
	}
	return nil
}
