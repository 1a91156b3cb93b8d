package boltstore

import (
	"context"

	bolt "go.etcd.io/bbolt"
)

// beyond returns the last revision without which the log is still full, or 0 if there is
// none. Records do not have the total size of earlier contents, so beyond adds up the
// sizes of the newest. It only reads, so nobody waits for it.
func (s *Store) beyond(ctx context.Context) (revision int64, err error) {
	if s.retention.Bytes == 0 {
		return 0, nil
	}
	var t tail
	for ended := false; revision == 0 && !ended; {
		if err := s.read(ctx, func(v *view) (err error) {
			revision, ended, err = t.extend(v, s.retention.Full)
			return err
		}); err != nil {
			return 0, err
		}
	}
	return revision, nil
}

// tail is the newest part of a log.
type tail struct {
	from  pointer // its first change, or zero if it is empty
	bytes int64   // of its contents
}

// extend adds some of the changes before t to t. Once t is full and begins at the start of
// a set, it returns the revision before t. It also reports whether there are no more
// changes.
func (t *tail) extend(v *view, full func(bytes int64) bool) (revision int64, ended bool, err error) {
	c := v.log.Cursor()
	k, row := t.before(c)
	for n := 0; k != nil && n < pruneLook; k, row = c.Prev() {
		r, err := decodeRecord(k, row)
		if err != nil {
			return 0, false, err
		}
		if r.at.installed || r.at.revision <= v.horizon {
			return 0, true, nil
		}
		if full(t.bytes) && r.at.revision != t.from.revision {
			return r.at.revision, true, nil
		}
		t.from, t.bytes = r.at, t.bytes+r.change.Size
		n++
	}
	return 0, k == nil, nil
}

// before returns the last row before t.
func (t *tail) before(c *bolt.Cursor) (key, row []byte) {
	if t.from == (pointer{}) {
		return c.Last()
	}
	if k, _ := c.Seek(t.from.bytes()); k == nil {
		return nil, nil // it and all changes before it were pruned meanwhile
	}
	return c.Prev()
}
