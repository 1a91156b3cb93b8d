package storage

import (
	"crypto/sha256"
	"maps"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/document"
	"github.com/linnaname/gdiamond/internal/rawbytes"
)

// RequestIDAge is how long a request id must be remembered.
const RequestIDAge = 24 * time.Hour

// Current is what [Plan] has to know of a key's current entry. The zero value
// is that of a key that has none.
type Current struct {
	Revision int64
	Type     string
	Meta     map[string]string // never changed
}

// Plan decides what set does to a store whose head is at, and returns the
// changes that commit it and the position after them. currentOf returns what
// is known of a key's current entry.
//
// An error is the set's own (ErrConflict, ErrNotFound, ErrInvalid), or currentOf's.
// Request ids are the storage's to look up first.
func Plan(at diamond.Position, set *diamond.ChangeSet, now time.Time, currentOf func(diamond.Key) (Current, error)) ([]diamond.Change, diamond.Position, error) {
	if err := check(set, currentOf); err != nil {
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
		typ, meta, err := describe(d, currentOf)
		if err != nil {
			return nil, at, err
		}
		c := add(diamond.OpPublish, d.Key)
		c.Type, c.Meta, c.Content = typ, meta, d.Content
		c.MD5, c.SHA256, c.Size = diamond.MD5Hex(d.Content), sha256.Sum256(rawbytes.Of(d.Content)), int64(len(d.Content))
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

// describe returns the type and the metadata that the value of d is to have.
// What d does not say is that of the key's current entry. Whether the content says
// something in a type that the key keeps is known only here.
func describe(d *diamond.Draft, currentOf func(diamond.Key) (Current, error)) (typ string, meta map[string]string, err error) {
	typ = d.Type
	if len(d.Meta) > 0 {
		meta = maps.Clone(d.Meta) // the caller's may change
	}
	if d.Reset || typ != "" && meta != nil {
		return typ, meta, nil
	}
	have, err := currentOf(d.Key)
	if err != nil {
		return "", nil, err
	}
	if have.Revision == 0 {
		have.Type = diamond.TypeOf(d.Key.DataID)
	}
	if typ == "" {
		typ = have.Type
		if !d.AllowEmpty && typ != diamond.TypeOf(d.Key.DataID) && document.Blank(typ, d.Content) {
			return "", nil, KeyError(d.Key, diamond.ErrInvalid, "content: says nothing in the format that the key has, %s; allowEmpty, or --allow-empty, publishes it all the same", typ)
		}
	}
	if meta == nil {
		meta = have.Meta
	}
	return typ, meta, nil
}

// check returns the first condition of set that does not hold.
func check(set *diamond.ChangeSet, currentOf func(diamond.Key) (Current, error)) error {
	condition := func(key diamond.Key, want int64) error {
		have, err := currentOf(key)
		if err != nil {
			return err
		}
		if have.Revision != want {
			e := diamond.Errorf(diamond.ErrConflict, "revision is %d, not %d", have.Revision, want)
			e.Key, e.Current = key, have.Revision
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
		have, err := currentOf(d.Key)
		if err != nil {
			return err
		}
		if have.Revision == 0 {
			e := diamond.Errorf(diamond.ErrNotFound, "nothing to delete")
			e.Key = d.Key
			return e
		}
	}
	return nil
}

// CheckCommit reports, for [diamond.Storage].Commit, that a call has more than one
// transaction may hold.
func CheckCommit(sets []diamond.ChangeSet) error {
	changes, bytes := 0, int64(0)
	for i := range sets {
		changes += sets[i].Len()
		for j := range sets[i].Drafts {
			bytes += int64(len(sets[i].Drafts[j].Content))
		}
	}
	if len(sets) > 1 && (changes > diamond.MaxCommitChanges || bytes > diamond.MaxCommitBytes) {
		return diamond.Errorf(diamond.ErrTooLarge, "%d changes with %d bytes in one transaction, more than %d or %d",
			changes, bytes, diamond.MaxCommitChanges, diamond.MaxCommitBytes)
	}
	return nil
}

// RequestReused returns the error for a set whose request id was used for another set.
func RequestReused(set *diamond.ChangeSet) error {
	return diamond.Errorf(diamond.ErrInvalid, "requestId %q: was used for another change set", set.RequestID)
}
