package engine

import (
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// lossGrace is the time for which the feed considers a head below the served position the
// read of a lagging database replica. After that, or once a loss is proven, the feed asks
// the storage to begin a new epoch if it has lost anything.
const lossGrace = 15 * time.Second

// lagState tracks how far reads of the storage are behind the served position. It is
// confined to the feed's goroutine.
type lagState struct {
	done    time.Time     // when the storage was last read to its head, or zero if it has to be read
	ownFrom conf.Position // what was read before own commits were applied, or zero if all was read
	lagging time.Time     // since when reads have shown less than is served, or zero if they do not
	idle    time.Time     // the same since the last own commit: a storage that commits after the served position has lost nothing
}

// toHead records that the storage was read to its head.
func (l *lagState) toHead() { *l = lagState{done: time.Now()} }

// due reports whether the storage has to be read although own commits were applied.
func (l *lagState) due(interval time.Duration) bool { return time.Since(l.done) >= interval }

// own records that an own commit follows what was served.
func (l *lagState) own(from conf.Position) {
	if l.ownFrom.IsZero() {
		l.ownFrom = from
	}
	l.idle = time.Time{}
}

// behind reports whether the feed should wait, because a head below the served
// position may be that of a database that is behind. Err is then the reason. It is nil
// at first if only own commits are missing: what is served is the newest there is.
func (l *lagState) behind(head, served conf.Position) (wait bool, err error) {
	now := time.Now()
	if l.idle.IsZero() {
		l.idle = now
	}
	if l.lagging.IsZero() {
		l.lagging = now
	}
	age := now.Sub(l.lagging)
	own := !l.ownFrom.IsZero() && !isBehind(head, l.ownFrom) // reads miss only own commits, which the storage has acknowledged
	switch {
	case now.Sub(l.idle) >= lossGrace:
		return false, nil
	case own && age < stallAfter:
		return true, nil
	case own:
		return true, conf.Errorf(errFeedStalled, "reads of the storage have been behind revision %d, which was committed here, for %v",
			served.Revision, age.Round(time.Second))
	}
	return true, conf.Errorf(errFeedGap, "the storage is at revision %d of generation %d, and this server has seen %d of %d",
		head.Revision, head.Epoch.Generation, served.Revision, served.Epoch.Generation)
}

// ahead records that the storage has revision, although its reads do not show it.
func (l *lagState) ahead(revision int64) error {
	l.idle = time.Time{}
	return conf.Errorf(errFeedGap, "reads of the storage do not show revision %d, which it has", revision)
}

// isBehind reports whether a storage with this head shows less than what was seen
// of it, and no other history: it is behind, perhaps by an epoch, or has lost
// its tail.
func isBehind(head, seen conf.Position) bool {
	return head.Store == seen.Store &&
		(head.Epoch == seen.Epoch && head.Revision < seen.Revision || head.Epoch.Generation < seen.Epoch.Generation)
}
