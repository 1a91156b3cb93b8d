package memstore

import (
	"context"
	"slices"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage"
)

// Prune removes at once what retention no longer keeps. Every Commit does so
// too; nothing grows without one.
func (s *Store) Prune(ctx context.Context) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	s.prune(s.now())
	return nil
}

func (s *Store) prune(now time.Time) {
	s.requests.prune(s.head.Revision, now)
	gone, left := 0, s.changes
	for i := range s.log {
		left -= len(s.log[i].changes)
		verdict := s.retention.Judge(s.log[i].changes[0].Time, now)
		if left < s.retention.Changes || verdict == storage.Keep {
			break
		}
		if verdict == storage.Drop {
			gone, s.changes = i+1, left
		}
	}
	if gone == 0 {
		return
	}
	s.horizon = s.log[gone-1].after
	dropped := slices.Clone(s.log[:gone])
	s.log = slices.Delete(s.log, 0, gone)
	for _, l := range dropped {
		for i := range l.changes {
			s.trim(l.changes[i].Key)
		}
	}
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
