package govern

import "github.com/linnaname/gdiamond/conf"

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

// draftOf returns the draft of key in set, or nil.
func draftOf(set *conf.ChangeSet, key conf.Key) *conf.Draft {
	for i := range set.Drafts {
		if set.Drafts[i].Key == key {
			return &set.Drafts[i]
		}
	}
	return nil
}

// deleteOf returns the deletion of key in set, or nil.
func deleteOf(set *conf.ChangeSet, key conf.Key) *conf.Delete {
	for i := range set.Deletes {
		if set.Deletes[i].Key == key {
			return &set.Deletes[i]
		}
	}
	return nil
}
