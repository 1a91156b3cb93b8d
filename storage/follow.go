package storage

import (
	"crypto/rand"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// MaxBatch is the largest number of changes in a batch after its first set. A limit
// in bytes is not enough, because deletions have no content.
const MaxBatch = 10_000

// NewStoreID returns a random store id.
func NewStoreID() (id conf.StoreID) {
	rand.Read(id[:])
	return id
}

// NextEpoch returns a random epoch of the generation after the given one.
func NextEpoch(generation int64) conf.Epoch {
	e := conf.Epoch{Generation: generation + 1}
	rand.Read(e.ID[:])
	return e
}

// Follows reports, for [diamond.Replica].Apply, whether changes lead from at to to.
// An empty replica, at the zero position, adopts the store and epoch of to.
func Follows(at conf.Position, changes []conf.Change, to conf.Position) error {
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
	if got.Epoch == (conf.Epoch{}) {
		got.Epoch = to.Epoch
	}
	if got != to {
		return conf.Errorf(conf.ErrCorrupt, "changes lead to revision %d, chain %v, generation %d; expected were %d, %v, %d",
			got.Revision, got.Chain, got.Epoch.Generation, to.Revision, to.Chain, to.Epoch.Generation)
	}
	return nil
}

// PlanFork decides what [diamond.Storage].Fork does to a store whose head is at. held
// reports whether the store's log has the position verified with its chain. PlanFork
// returns the change that begins a new epoch above both at and verified, and the
// position after it. It returns no change, and at, if nothing is lost or if an epoch
// after that of verified has begun.
func PlanFork(at, verified conf.Position, held bool, now time.Time) (*conf.Change, conf.Position, error) {
	if verified.IsZero() {
		verified, held = at, false
	}
	if verified.Store != at.Store {
		return nil, at, OtherStore(at, verified)
	}
	if held || at.Epoch.Generation > verified.Epoch.Generation {
		return nil, at, nil
	}
	change := &conf.Change{
		Revision: max(at.Revision, verified.Revision) + 1, Count: 1, Op: conf.OpFork,
		Time: now.UTC().Truncate(time.Microsecond), Epoch: NextEpoch(verified.Epoch.Generation),
	}
	at.Revision, at.Epoch, at.Chain = change.Revision, change.Epoch, at.Chain.Extend(change)
	return change, at, nil
}

// MaxAbove is the highest generation that may be given to [Restored]. It leaves room
// for later generations.
const MaxAbove = 1 << 62

// lostRevisions is the number of revisions that a restored store skips. It is larger
// than the number of changes that may have been published since the backup. So no lost
// revision is used again for another value, and no condition on it holds by chance.
const lostRevisions = 1_000_000

// Restored returns the position above which a store that was restored from a backup
// must continue, for [diamond.Storage].Fork. at is the head of the backup. The position
// is above everything that may have been published since the backup, up to a
// generation.
func Restored(at conf.Position, generation int64) conf.Position {
	at.Revision += lostRevisions
	at.Epoch.Generation = max(at.Epoch.Generation, generation)
	return at
}

// CheckAfter reports, for [diamond.Storage].Changes, whether a log that begins after
// horizon and ends at head has the changes after a position. The caller must compare
// the chain at that position's revision.
func CheckAfter(after, horizon, head conf.Position) error {
	switch {
	case !after.IsZero() && after.Store != head.Store:
		return OtherStore(head, after)
	case after.Revision > head.Revision:
		return conf.Errorf(conf.ErrEpoch, "revision %d is above the head, %d", after.Revision, head.Revision)
	case after.Revision < horizon.Revision:
		return conf.Errorf(conf.ErrCompacted, "changes up to revision %d are no longer kept", horizon.Revision)
	}
	return nil
}

// CheckAt reports, for [diamond.Storage].PositionAt, whether a log that begins after
// horizon and ends at head may have a revision. If it has no change of that revision all
// the same, the error is that of [NoRevision].
func CheckAt(revision int64, horizon, head conf.Position) error {
	switch {
	case revision > head.Revision:
		return conf.Errorf(conf.ErrNotFound, "revision %d is above the head, %d", revision, head.Revision)
	case revision < horizon.Revision:
		return conf.Errorf(conf.ErrCompacted, "the log begins after revision %d", horizon.Revision)
	}
	return nil
}

// NoRevision returns the error for a revision in the gap that a fork has left.
func NoRevision(revision int64) error {
	return conf.Errorf(conf.ErrNotFound, "there is no revision %d", revision)
}

// Marks reports whether a store that takes ch must be refused by programs of before there
// were origins and entries in system namespaces: they would compute another chain, or serve
// what only rights protect.
func Marks(ch *conf.Change) bool { return ch.Origin != "" || ch.Key.System() }

// OtherStore returns the error for a position of a store other than that of have.
func OtherStore(have, got conf.Position) error {
	return conf.Errorf(conf.ErrOtherStore, "this is store %v, the position is of %v", have.Store, got.Store)
}

// EntryChange returns the change for an entry of a scan, which does not have the
// author or the comment.
func EntryChange(e *conf.Entry, sum [32]byte) conf.Change {
	return conf.Change{
		Revision: e.Revision, Count: 1, Key: e.Key, Op: conf.OpPublish,
		Type: e.Type, MD5: e.MD5, SHA256: sum, Size: e.Size, Meta: e.Meta,
		Time: e.Modified, Content: e.Content,
	}
}

// CheckInstall returns an error if an entry given to [diamond.Replica].Install is
// invalid.
func CheckInstall(e *conf.Entry) error {
	switch {
	case e.Key != e.Key.Canonical() || e.Key.Validate() != nil || e.Revision < 1:
		return conf.Errorf(conf.ErrInvalid, "entry at revision %d: bad key or revision", e.Revision)
	case e.Size != int64(len(e.Content)) || e.MD5 != conf.MD5Hex(e.Content):
		return conf.Errorf(conf.ErrCorrupt, "content of %v at revision %d does not have its digest", e.Key, e.Revision)
	}
	return nil
}

// NotCaughtUp returns the error for a write to a copy whose head is below the newest
// entry that was installed.
func NotCaughtUp(head, ahead int64) error {
	return conf.Errorf(conf.ErrInvalid, "this copy is at revision %d and has entries up to %d: apply the changes in between first", head, ahead)
}

// NotCopy returns the error for Apply and Install on a store that is not a copy.
func NotCopy() error {
	return conf.Errorf(conf.ErrInvalid, "this store has changes of its own and is not a copy")
}

// FirstEpoch returns the epoch of the first of the changes that lead an empty replica
// to to, or zero if only the epochs of forks among them are known.
func FirstEpoch(changes []conf.Change, to conf.Position) conf.Epoch {
	for i := range changes {
		if changes[i].Op == conf.OpFork {
			return conf.Epoch{}
		}
	}
	return to.Epoch
}
