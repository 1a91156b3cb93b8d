package storage

import (
	"crypto/rand"
	"time"

	diamond "github.com/linnaname/gdiamond"
)

// MaxBatch is how many changes a batch may have after its first set, however
// small they are: deletions have no content that a limit in bytes would count.
const MaxBatch = 10_000

// NewStoreID returns a random store id.
func NewStoreID() (id diamond.StoreID) {
	rand.Read(id[:])
	return id
}

// NextEpoch returns a random epoch of the generation after the one given.
func NextEpoch(generation int64) diamond.Epoch {
	e := diamond.Epoch{Generation: generation + 1}
	rand.Read(e.ID[:])
	return e
}

// Follows reports, for [diamond.Replica].Apply, whether changes lead from at to
// to. A replica that is empty, at the zero position, takes up to's store and epoch.
func Follows(at diamond.Position, changes []diamond.Change, to diamond.Position) error {
	if at.IsZero() {
		at.Store = to.Store
	}
	if at.Store != to.Store {
		return OtherStore(at, to)
	}
	got, err := at.Follow(changes)
	if err != nil {
		return err
	}
	if got.Epoch == (diamond.Epoch{}) {
		got.Epoch = to.Epoch
	}
	if got != to {
		return diamond.Errorf(diamond.ErrCorrupt, "changes lead to revision %d, chain %v, generation %d; announced were %d, %v, %d",
			got.Revision, got.Chain, got.Epoch.Generation, to.Revision, to.Chain, to.Epoch.Generation)
	}
	return nil
}

// PlanFork decides what [diamond.Storage].Fork does to a store whose head is
// at, and whose log has verified, with its chain, if held: the change that
// begins a new epoch above both at and verified, and the position after it; or
// none, and at, where nothing is lost or an epoch after verified's has begun.
func PlanFork(at, verified diamond.Position, held bool, now time.Time) (*diamond.Change, diamond.Position, error) {
	if verified.IsZero() {
		verified, held = at, false
	}
	if verified.Store != at.Store {
		return nil, at, OtherStore(at, verified)
	}
	if held || at.Epoch.Generation > verified.Epoch.Generation {
		return nil, at, nil
	}
	change := &diamond.Change{
		Revision: max(at.Revision, verified.Revision) + 1, Count: 1, Op: diamond.OpFork,
		Time: now.UTC().Truncate(time.Microsecond), Epoch: NextEpoch(verified.Epoch.Generation),
	}
	at.Revision, at.Epoch, at.Chain = change.Revision, change.Epoch, at.Chain.Extend(change)
	return change, at, nil
}

// MaxAbove is the highest generation above which [Restored] may be told to go on:
// it leaves room for those that follow.
const MaxAbove = 1 << 62

// lostRevisions is how far above its backup a restored store goes on: more
// than may have been published since. So no revision that was lost names
// another value later, and no condition on it holds by chance.
const lostRevisions = 1_000_000

// Restored returns what a store whose head is at, and which was restored from a
// backup, is to take for lost, and so for [diamond.Storage].Fork to go on above:
// all that may have been published after the backup, up to a generation.
func Restored(at diamond.Position, generation int64) diamond.Position {
	at.Revision += lostRevisions
	at.Epoch.Generation = max(at.Epoch.Generation, generation)
	return at
}

// CheckAfter says, for [diamond.Storage].Changes, whether the changes after a
// position can be had from a log that begins after horizon and ends at head.
// The chain at after's revision is for the caller to compare.
func CheckAfter(after, horizon, head diamond.Position) error {
	switch {
	case !after.IsZero() && after.Store != head.Store:
		return OtherStore(head, after)
	case after.Revision > head.Revision:
		return diamond.Errorf(diamond.ErrEpoch, "revision %d is above the head, %d", after.Revision, head.Revision)
	case after.Revision < horizon.Revision:
		return diamond.Errorf(diamond.ErrCompacted, "changes up to revision %d are no longer kept", horizon.Revision)
	}
	return nil
}

// OtherStore returns the error for a position of another store than have's.
func OtherStore(have, got diamond.Position) error {
	return diamond.Errorf(diamond.ErrOtherStore, "this is store %v, the position is of %v", have.Store, got.Store)
}

// EntryChange returns the change that an entry stands for where a scan brought
// it: who published it, and why, is not known.
func EntryChange(e *diamond.Entry, sum [32]byte) diamond.Change {
	return diamond.Change{
		Revision: e.Revision, Count: 1, Key: e.Key, Op: diamond.OpPublish,
		Type: e.Type, MD5: e.MD5, SHA256: sum, Size: e.Size, Meta: e.Meta,
		Time: e.Modified, Content: e.Content,
	}
}

// CheckInstall reports what is wrong with an entry given to [diamond.Replica].Install.
func CheckInstall(e *diamond.Entry) error {
	switch {
	case e.Key != e.Key.Canonical() || e.Key.Validate() != nil || e.Revision < 1:
		return diamond.Errorf(diamond.ErrInvalid, "entry at revision %d: bad key or revision", e.Revision)
	case e.Size != int64(len(e.Content)) || e.MD5 != diamond.MD5Hex(e.Content):
		return diamond.Errorf(diamond.ErrCorrupt, "content of %v at revision %d does not have its digest", e.Key, e.Revision)
	}
	return nil
}

// NotCaughtUp returns the error for a write to a copy whose head is below the
// newest entry that it was installed with.
func NotCaughtUp(head, ahead int64) error {
	return diamond.Errorf(diamond.ErrInvalid, "this copy is at revision %d and holds entries up to %d: apply the changes between first", head, ahead)
}

// NotCopy returns the error for Apply and Install on a store with a history of its own.
func NotCopy() error {
	return diamond.Errorf(diamond.ErrInvalid, "this store has taken changes of its own and is no copy")
}

// FirstEpoch returns the epoch in which changes begin that lead an empty
// replica to to; zero where only the epochs of forks among them are known.
func FirstEpoch(changes []diamond.Change, to diamond.Position) diamond.Epoch {
	for i := range changes {
		if changes[i].Op == diamond.OpFork {
			return diamond.Epoch{}
		}
	}
	return to.Epoch
}
