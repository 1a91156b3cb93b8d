package boltstore

import (
	"bytes"
	"context"
	"errors"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// Read implements [diamond.Storage].
func (s *Store) Read(ctx context.Context, key conf.Key, revision int64) (conf.Entry, error) {
	var entry conf.Entry
	err := s.read(ctx, func(v *view) error {
		r, err := v.find(key, revision)
		if err != nil {
			return err
		}
		c, err := r.full()
		entry = c.Entry()
		return err
	})
	if err != nil {
		return conf.Entry{}, err
	}
	return entry, nil
}

// find returns the record of the value for Read.
func (v *view) find(key conf.Key, revision int64) (*record, error) {
	if revision == 0 {
		c, err := v.row(key)
		if err != nil {
			return nil, err
		}
		if c.revision() == 0 {
			return nil, storage.KeyError(key, conf.ErrNotFound, "")
		}
		return v.newest(c)
	}
	r, err := v.version(key, revision)
	switch {
	case err != nil:
		return nil, err
	case r == nil && revision <= v.horizon:
		return nil, storage.KeyError(key, conf.ErrCompacted, "revision %d is no longer kept", revision)
	case r == nil || r.change.Op != conf.OpPublish:
		return nil, storage.KeyError(key, conf.ErrNotFound, "no value was published at revision %d", revision)
	}
	return r, nil
}

// Changes implements [diamond.Storage].
func (s *Store) Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error) {
	batch := conf.Batch{Position: after}
	err := s.read(ctx, func(v *view) error {
		head, _, err := v.head()
		if err != nil {
			return err
		}
		batch.Head = head
		if err := storage.CheckAfter(after, v.anchor(), head); err != nil {
			return err
		}
		return v.changes(&batch, maxBytes)
	})
	return batch, err
}

// changes fills batch with the changes after its position, which is within the log.
func (v *view) changes(batch *conf.Batch, maxBytes int64) error {
	after := batch.Position
	c := v.log.Cursor()
	// The next set begins with the first record after the set of after.
	k, row := c.Seek(pointer{revision: after.Revision + 1}.bytes())
	at, err := v.chainAt(after.Revision)
	if err != nil {
		return err
	}
	if at != after.Chain {
		return conf.Errorf(conf.ErrEpoch, "revision %d has chain %v, not %v", after.Revision, at, after.Chain)
	}
	batch.Position = v.position(after.Revision, at)
	var size int64
	for k != nil {
		first, err := decodeRecord(k, row)
		if err != nil {
			return err
		}
		set := make([]conf.Change, 0, min(first.change.Count, conf.MaxChanges))
		for ; k != nil; k, row = c.Next() {
			r, err := decodeRecord(k, row)
			if err != nil {
				return err
			}
			if r.at.revision != first.at.revision {
				break
			}
			if size += r.change.Size; size > maxBytes && len(batch.Changes) > 0 {
				return nil
			}
			change, err := r.full()
			if err != nil {
				return err
			}
			set = append(set, change)
		}
		if n := len(batch.Changes); n > 0 && n+len(set) > storage.MaxBatch {
			return nil
		}
		batch.Changes = append(batch.Changes, set...)
		batch.Position = v.position(first.at.revision, first.chain)
	}
	return nil
}

// PositionAt implements [diamond.Storage].
func (s *Store) PositionAt(ctx context.Context, revision int64) (conf.Position, error) {
	var at conf.Position
	err := s.read(ctx, func(v *view) error {
		head, _, err := v.head()
		if err != nil {
			return err
		}
		if err := storage.CheckAt(revision, v.anchor(), head); err != nil {
			return err
		}
		chain, err := v.chainAt(revision)
		if errors.Is(err, conf.ErrEpoch) {
			err = storage.NoRevision(revision)
		}
		if err == nil {
			at = v.position(revision, chain)
		}
		return err
	})
	return at, err
}

// chainAt returns the chain at a revision of the log or at its horizon.
func (v *view) chainAt(revision int64) (conf.Chain, error) {
	if revision == v.horizon {
		return v.chain, nil
	}
	r, err := v.record(pointer{revision: revision})
	if err != nil {
		return conf.Chain{}, err
	}
	if r == nil {
		return conf.Chain{}, conf.Errorf(conf.ErrEpoch, "there is no revision %d", revision)
	}
	return r.chain, nil
}

// Scan implements [diamond.Storage].
func (s *Store) Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error) {
	var page conf.Page
	err := s.read(ctx, func(v *view) (err error) {
		if page.Position, _, err = v.head(); err != nil {
			return err
		}
		return v.scan(req, &page)
	})
	if err != nil {
		return conf.Page{}, err
	}
	return page, nil
}

func (v *view) scan(req conf.ScanRequest, page *conf.Page) error {
	prefix := scanPrefix(req)
	start := prefix
	if after := append(keyBytes(req.After), 0); req.After != (conf.Key{}) && bytes.Compare(after, start) > 0 {
		start = after // the lowest row key above that of After
	}
	c := v.current.Cursor()
	for k, row := c.Seek(start); k != nil && bytes.HasPrefix(k, prefix); k, row = c.Next() {
		key, err := parseKey(k)
		if err != nil {
			return err
		}
		if !req.Matches(key) {
			continue
		}
		cur, err := decodeCurrent(key, k, row)
		if err != nil {
			return err
		}
		if cur.op != conf.OpPublish {
			continue
		}
		if len(page.Entries) >= max(req.Limit, 1) {
			page.More = true
			return nil
		}
		if req.Contents {
			r, err := v.newest(cur)
			if err != nil {
				return err
			}
			change, err := r.full()
			if err != nil {
				return err
			}
			cur.entry.Content = change.Content
		}
		page.Entries = append(page.Entries, cur.entry)
	}
	return nil
}

// scanPrefix returns the common prefix of all row keys within req.
func scanPrefix(req conf.ScanRequest) []byte {
	var b []byte
	if req.Namespace == "" {
		return b
	}
	b = append(append(b, req.Namespace...), 0)
	if req.Group == "" {
		return b
	}
	b = append(append(b, req.Group...), 0)
	return append(b, req.Prefix...)
}

func parseKey(row []byte) (conf.Key, error) {
	parts := bytes.SplitN(row, []byte{0}, 4)
	if len(parts) != 3 {
		return conf.Key{}, conf.Errorf(conf.ErrCorrupt, "a key in the current view is damaged")
	}
	return conf.Key{Namespace: string(parts[0]), Group: string(parts[1]), DataID: string(parts[2])}, nil
}

// History implements [diamond.Storage].
func (s *Store) History(ctx context.Context, key conf.Key, before int64, limit int) ([]conf.Change, error) {
	var changes []conf.Change
	err := s.read(ctx, func(v *view) error {
		c, err := v.row(key)
		if c == nil || err != nil {
			return err
		}
		r, err := v.before(c, key, before)
		for ; r != nil && err == nil && len(changes) < limit; r, err = v.record(r.prev) {
			if before == 0 || r.at.revision < before {
				changes = append(changes, r.change)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return changes, nil
}

// before returns a record from which all versions of the key of c below a revision can be
// reached. If there is a version of exactly that revision, as at the end of a page of a
// history, it returns the one before it, and otherwise the newest.
func (v *view) before(c *current, key conf.Key, revision int64) (*record, error) {
	if revision > 0 {
		if last, err := v.version(key, revision); err != nil {
			return nil, err
		} else if last != nil {
			return v.record(last.prev)
		}
	}
	return v.newest(c)
}

// Horizon returns the position after which the log has all changes. It is zero until
// history is pruned.
func (s *Store) Horizon(ctx context.Context) (conf.Position, error) {
	var at conf.Position
	err := s.read(ctx, func(v *view) error {
		if v.horizon > 0 {
			at = v.anchor()
		}
		return nil
	})
	return at, err
}
