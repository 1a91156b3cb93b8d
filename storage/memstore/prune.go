package memstore

import (
	"context"
	"slices"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage"
)

// pruneLook is how many sets a pruning looks at: whoever commits waits for it.
const pruneLook = 1000

// Prune removes at once what retention no longer keeps. Every Commit does so
// too; nothing grows without one.
func (s *Store) Prune(ctx context.Context) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for now := s.now(); ; {
		sets, passed := len(s.log), s.passed
		if s.prune(now); len(s.log) == sets && s.passed <= passed {
			return nil
		}
	}
}

func (s *Store) prune(now time.Time) {
	s.requests.prune(s.head.Revision, now)
	gone := max(s.leaving(now), s.beyond())
	if gone == 0 {
		return
	}
	for _, l := range s.log[:gone] {
		s.changes, s.bytes = s.changes-len(l.changes), s.bytes-contents(l.changes)
	}
	s.passed, s.passedChanges = 0, 0
	s.horizon = s.log[gone-1].after
	dropped := slices.Clone(s.log[:gone])
	s.log = slices.Delete(s.log, 0, gone)
	for _, l := range dropped {
		for i := range l.changes {
			s.trim(l.changes[i].Key)
		}
	}
}

// leaving returns how many of the oldest sets may leave the log. What is from the
// future is passed over, to find out what the next sets prove; a clock far behind
// makes that of the whole log. So it looks at a few, and goes on from there the
// next time.
func (s *Store) leaving(now time.Time) int {
	gone := 0
	for range min(pruneLook, len(s.log)-s.passed) {
		set := s.log[s.passed].changes
		verdict := s.retention.Judge(set[0].Time, now)
		if s.changes-s.passedChanges-len(set) < s.retention.Changes || verdict == storage.Keep {
			s.passed, s.passedChanges = 0, 0
			break
		}
		s.passed, s.passedChanges = s.passed+1, s.passedChanges+len(set)
		if verdict == storage.Drop {
			gone = s.passed
		}
	}
	return gone
}

// beyond returns how many of the oldest sets the log is full without.
func (s *Store) beyond() int {
	newer := s.bytes
	for i := range s.log {
		if newer -= contents(s.log[i].changes); !s.retention.Full(newer) {
			return i
		}
	}
	return len(s.log)
}

// contents returns how many bytes of content changes have.
func contents(changes []diamond.Change) (bytes int64) {
	for i := range changes {
		bytes += changes[i].Size
	}
	return bytes
}

// trim removes the versions of a key that have left the log and that
// retention does not keep. A key whose tombstone went is forgotten.
func (s *Store) trim(k diamond.Key) {
	it := s.items[k]
	if it == nil {
		return
	}
	newest := it.newest().change
	dead := newest.Op == diamond.OpDelete && newest.Revision <= s.horizon.Revision
	first := it.count - int64(len(it.versions)) + 1
	n := 0
	for n < len(it.versions) && it.versions[n].change.Revision <= s.horizon.Revision &&
		s.retention.Outdated(first+int64(n), it.count, dead) {
		n++
	}
	if n == len(it.versions) {
		delete(s.items, k)
		if i, found := slices.BinarySearchFunc(s.keys[:s.sorted], k, diamond.Key.Compare); found {
			s.keys = slices.Delete(s.keys, i, i+1)
			s.sorted--
		} else {
			s.keys = slices.DeleteFunc(s.keys, func(o diamond.Key) bool { return o == k })
		}
		return
	}
	it.versions = slices.Delete(it.versions, 0, n)
}
