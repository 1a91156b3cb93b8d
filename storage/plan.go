package storage

import (
	"crypto/sha256"
	"maps"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/rawbytes"
)

// RequestIDAge is how long a request id must be remembered.
const RequestIDAge = 24 * time.Hour

// Plan decides what set does to a store whose head is at, and returns the
// changes that commit it and the position after them. revisionOf returns the
// revision of a key's current entry, 0 where there is none.
//
// An error is the set's own (ErrConflict, ErrNotFound), or revisionOf's.
// Request ids are the storage's to look up first.
func Plan(at diamond.Position, set *diamond.ChangeSet, now time.Time, revisionOf func(diamond.Key) (int64, error)) ([]diamond.Change, diamond.Position, error) {
	if err := check(set, revisionOf); err != nil {
		return nil, at, err
	}
	changes := make([]diamond.Change, 0, set.Len())
	add := func(op diamond.Op, key diamond.Key) *diamond.Change {
		changes = append(changes, diamond.Change{
			Revision: at.Revision + 1, Number: len(changes), Count: set.Len(),
			Key: key, Op: op,
			Author: set.Caller.Principal, Address: set.Caller.Address, Comment: set.Comment,
			Time: now.UTC().Truncate(time.Microsecond),
		})
		return &changes[len(changes)-1]
	}
	for i := range set.Drafts {
		d := &set.Drafts[i]
		c := add(diamond.OpPublish, d.Key)
		c.Type, c.Content = d.Type, d.Content
		c.MD5, c.SHA256, c.Size = diamond.MD5Hex(d.Content), sha256.Sum256(rawbytes.Of(d.Content)), int64(len(d.Content))
		if len(d.Meta) > 0 {
			c.Meta = maps.Clone(d.Meta) // the caller's may change
		}
	}
	for i := range set.Deletes {
		add(diamond.OpDelete, set.Deletes[i].Key)
	}
	at.Revision++
	for i := range changes {
		at.Chain = at.Chain.Extend(&changes[i])
	}
	return changes, at, nil
}

// check returns the first condition of set that does not hold.
func check(set *diamond.ChangeSet, revisionOf func(diamond.Key) (int64, error)) error {
	condition := func(key diamond.Key, want int64) error {
		have, err := revisionOf(key)
		if err != nil {
			return err
		}
		if have != want {
			e := diamond.Errorf(diamond.ErrConflict, "revision is %d, not %d", have, want)
			e.Key, e.Current = key, have
			return e
		}
		return nil
	}
	for i := range set.Checks {
		if err := condition(set.Checks[i].Key, set.Checks[i].Revision); err != nil {
			return err
		}
	}
	for i := range set.Drafts {
		if want := set.Drafts[i].IfRevision; want != nil {
			if err := condition(set.Drafts[i].Key, *want); err != nil {
				return err
			}
		}
	}
	for i := range set.Deletes {
		d := &set.Deletes[i]
		if d.IfRevision != nil {
			if err := condition(d.Key, *d.IfRevision); err != nil {
				return err
			}
			continue
		}
		have, err := revisionOf(d.Key)
		if err != nil {
			return err
		}
		if have == 0 {
			e := diamond.Errorf(diamond.ErrNotFound, "nothing to delete")
			e.Key = d.Key
			return e
		}
	}
	return nil
}

// RequestReused returns the error for a set whose request id was used for another set.
func RequestReused(set *diamond.ChangeSet) error {
	return diamond.Errorf(diamond.ErrInvalid, "requestId %q: was used for another change set", set.RequestID)
}
