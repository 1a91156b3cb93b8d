package memstore

import (
	"context"
	"slices"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// pruneLook is the number of sets that a pruning examines, because a commit waits for
// it.
const pruneLook = 1000

// Prune removes the history that the retention no longer keeps. Every Commit does the
// same, and without commits nothing grows.
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

// leaving returns the number of oldest sets that may leave the log. It skips sets whose
// times are in the future, because a later set may prove that they are old. If the
// clock is far behind, that is the whole log, so leaving examines only some sets and
// continues there the next time.
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

// beyond returns the number of oldest sets without which the log is still full.
func (s *Store) beyond() int {
	newer := s.bytes
	for i := range s.log {
		if newer -= contents(s.log[i].changes); !s.retention.Full(newer) {
			return i
		}
	}
	return len(s.log)
}

// contents returns the number of bytes of content in changes.
func contents(changes []conf.Change) (bytes int64) {
	for i := range changes {
		bytes += changes[i].Size
	}
	return bytes
}

// trim removes the versions of a key that have left the log and that the retention does
// not keep. It removes a key once its tombstone is gone.
func (s *Store) trim(k conf.Key) {
	it := s.items[k]
	if it == nil {
		return
	}
	newest := it.newest().change
	dead := newest.Op == conf.OpDelete && newest.Revision <= s.horizon.Revision
	first := it.count - int64(len(it.versions)) + 1
	n := 0
	for n < len(it.versions) && it.versions[n].change.Revision <= s.horizon.Revision &&
		s.retention.Outdated(first+int64(n), it.count, dead) {
		n++
	}
	if n == len(it.versions) {
		delete(s.items, k)
		if i, found := slices.BinarySearchFunc(s.keys[:s.sorted], k, conf.Key.Compare); found {
			s.keys = slices.Delete(s.keys, i, i+1)
			s.sorted--
		} else {
			s.keys = slices.DeleteFunc(s.keys, func(o conf.Key) bool { return o == k })
		}
		return
	}
	it.versions = slices.Delete(it.versions, 0, n)
}
