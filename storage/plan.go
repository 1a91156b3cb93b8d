package storage

import (
	"crypto/sha256"
	"maps"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/document"
	"github.com/linnaname/gdiamond/internal/rawbytes"
)

// RequestIDAge is the time for which a request id must be remembered.
const RequestIDAge = 24 * time.Hour

// Current is the part of a key's current entry that [Plan] needs. It is zero for a key
// without an entry.
type Current struct {
	Revision int64
	Type     string
	Meta     map[string]string // never changed
}

// Plan returns the changes that commit set to a store whose head is at, and the
// position after them. currentOf returns the current entry of a key.
//
// The error is that of the set (ErrEpoch, ErrConflict, ErrNotFound, ErrInvalid) or of currentOf.
// The storage must look up request ids before it calls Plan.
func Plan(at conf.Position, set *conf.ChangeSet, now time.Time, currentOf func(conf.Key) (Current, error)) ([]conf.Change, conf.Position, error) {
	if g := at.Epoch.Generation; set.Generation != 0 && set.Generation != g {
		return nil, at, conf.Errorf(conf.ErrEpoch, "the set is of generation %d, and the store is of generation %d", set.Generation, g)
	}
	if err := check(set, currentOf); err != nil {
		return nil, at, err
	}
	changes := make([]conf.Change, 0, set.Len())
	add := func(op conf.Op, key conf.Key) *conf.Change {
		changes = append(changes, conf.Change{
			Revision: at.Revision + 1, Number: len(changes), Count: set.Len(),
			Key: key, Op: op,
			Author: set.Caller.Principal, Address: set.Caller.Address, Comment: set.Comment, Origin: set.Origin,
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
		c := add(conf.OpPublish, d.Key)
		c.Type, c.Meta, c.Content = typ, meta, d.Content
		c.MD5, c.SHA256, c.Size = conf.MD5Hex(d.Content), sha256.Sum256(rawbytes.Of(d.Content)), int64(len(d.Content))
	}
	for i := range set.Deletes {
		add(conf.OpDelete, set.Deletes[i].Key)
	}
	at.Revision++
	for i := range changes {
		at.Chain = at.Chain.Extend(&changes[i])
	}
	return changes, at, nil
}

// describe returns the type and metadata for the value of d. Without them in d, they are
// those of the key's current entry. Only here is the type known, so describe checks that
// the content has a value in a type that the key keeps.
func describe(d *conf.Draft, currentOf func(conf.Key) (Current, error)) (typ string, meta map[string]string, err error) {
	typ = d.Type
	if len(d.Meta) > 0 {
		meta = maps.Clone(d.Meta) // the caller may change the original
	}
	if d.Reset || typ != "" && meta != nil {
		return typ, meta, nil
	}
	have, err := currentOf(d.Key)
	if err != nil {
		return "", nil, err
	}
	if have.Revision == 0 {
		have.Type = conf.TypeOf(d.Key.DataID)
	}
	if typ == "" {
		typ = have.Type
		if !d.AllowEmpty && typ != conf.TypeOf(d.Key.DataID) && document.Blank(typ, d.Content) {
			return "", nil, KeyError(d.Key, conf.ErrInvalid, "content: has no value in the format of the key, %s; to publish it anyway, use allowEmpty or --allow-empty", typ)
		}
	}
	if meta == nil {
		meta = have.Meta
	}
	return typ, meta, nil
}

// check returns the first condition of set that does not hold.
func check(set *conf.ChangeSet, currentOf func(conf.Key) (Current, error)) error {
	condition := func(key conf.Key, want int64) error {
		have, err := currentOf(key)
		if err != nil {
			return err
		}
		if have.Revision != want {
			e := conf.Errorf(conf.ErrConflict, "revision is %d, not %d", have.Revision, want)
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
			e := conf.Errorf(conf.ErrNotFound, "nothing to delete")
			e.Key = d.Key
			return e
		}
	}
	return nil
}

// CheckCommit returns, for [diamond.Storage].Commit, an error if sets exceed the limits
// of one transaction.
func CheckCommit(sets []conf.ChangeSet) error {
	changes, bytes := 0, int64(0)
	for i := range sets {
		changes += sets[i].Len()
		for j := range sets[i].Drafts {
			bytes += int64(len(sets[i].Drafts[j].Content))
		}
	}
	if len(sets) > 1 && (changes > conf.MaxCommitChanges || bytes > conf.MaxCommitBytes) {
		return conf.Errorf(conf.ErrTooLarge, "%d changes with %d bytes in one transaction, more than %d or %d",
			changes, bytes, conf.MaxCommitChanges, conf.MaxCommitBytes)
	}
	return nil
}

// RequestReused returns the error for a set whose request id was used for another set.
func RequestReused(set *conf.ChangeSet) error {
	return conf.Errorf(conf.ErrInvalid, "requestId %q: was used for another change set", set.RequestID)
}
