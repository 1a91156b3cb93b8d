package diamond

import "time"

// lossGrace is for how long a head below what the server has seen is taken
// for a read of a database that is behind another one. Then, or once a loss
// is proven, the storage is asked to begin an epoch, if it has lost anything.
const lossGrace = 15 * time.Second

// reading is what the feed knows of how its reads of the storage stand to what is
// served. It is its goroutine's alone.
type lagState struct {
	done    time.Time // when the storage was last read to its head; zero: it has to be read
	ownFrom Position  // what was read before own commits were applied; zero: all was read
	lagging time.Time // since when reads show less than is served; zero: they do not
	idle    time.Time // the same, but since the last own commit: a storage that goes on from what is served has lost nothing
}

// toHead notes that the storage was read to its head.
func (l *lagState) toHead() { *l = lagState{done: time.Now()} }

// due reports whether the storage has to be read though own commits brought news.
func (l *lagState) due(interval time.Duration) bool { return time.Since(l.done) >= interval }

// own notes that an own commit follows what was served.
func (l *lagState) own(from Position) {
	if l.ownFrom.IsZero() {
		l.ownFrom = from
	}
	l.idle = time.Time{}
}

// behind reports whether a head that is below what is served may be that of a
// database that is behind, so that it is waited for; err says so. Where only own
// commits are missing it is nil at first: they are newer than any read, and what
// is served is the newest there is.
func (l *lagState) behind(head, served Position) (wait bool, err error) {
	now := time.Now()
	if l.idle.IsZero() {
		l.idle = now
	}
	if l.lagging.IsZero() {
		l.lagging = now
	}
	age := now.Sub(l.lagging)
	own := !l.ownFrom.IsZero() && !isBehind(head, l.ownFrom)
	switch {
	case now.Sub(l.idle) >= lossGrace:
		return false, nil
	case own && age < stallAfter:
		return true, nil
	case own:
		return true, Errorf(errFeedStalled, "reads of the storage have been behind revision %d, which was committed here, for %v",
			served.Revision, age.Round(time.Second))
	}
	return true, Errorf(errFeedGap, "the storage is at revision %d of generation %d, and this server has seen %d of %d",
		head.Revision, head.Epoch.Generation, served.Revision, served.Epoch.Generation)
}

// ahead notes that the storage has revision, though its reads do not show it.
func (l *lagState) ahead(revision int64) error {
	l.idle = time.Time{}
	return Errorf(errFeedGap, "reads of the storage do not show revision %d, which it has", revision)
}

// isBehind reports whether a storage with this head shows less than what was seen
// of it, and no other history: it is behind, perhaps by an epoch, or has lost
// its tail.
func isBehind(head, seen Position) bool {
	return head.Store == seen.Store &&
		(head.Epoch == seen.Epoch && head.Revision < seen.Revision || head.Epoch.Generation < seen.Epoch.Generation)
}
