package engine

import (
	"context"
	"errors"
	"iter"
	"sort"

	"github.com/linnaname/gdiamond/conf"
)

const (
	// scanPage is the number of entries in a page of a scan.
	scanPage = 5000
	// contentPageBytes is about the number of bytes in a page of a scan with contents.
	contentPageBytes = 4 << 20
	// feedBytes is the number of bytes of content in a batch of changes.
	feedBytes = 4 << 20
)

// errStopped ends a merge early.
var errStopped = errors.New("stopped")

// reader reads a storage, or a replica, and verifies what it reads.
type reader struct{ from readStorage }

// changes reads a batch that follows after, and verifies it set by set.
func (r reader) changes(ctx context.Context, after conf.Position) (conf.Batch, []step, error) {
	batch, err := r.from.Changes(ctx, after, feedBytes)
	if err != nil {
		return batch, nil, err
	}
	if err := findGap(after, batch.Changes); err != nil {
		return batch, nil, err
	}
	if len(batch.Changes) == 0 && batch.Position != batch.Head {
		return batch, nil, conf.Errorf(conf.ErrCorrupt, "no changes follow revision %d, but the head is at %d", after.Revision, batch.Head.Revision)
	}
	sets, to, err := verifySets(after, batch.Changes)
	if err == nil && to != batch.Position {
		err = conf.Errorf(conf.ErrCorrupt, "the changes up to revision %d do not have its chain", to.Revision)
	}
	return batch, sets, err
}

// verifySets verifies changes, and returns them set by set with the position after
// the last.
func verifySets(p conf.Position, changes []conf.Change) (sets []step, to conf.Position, err error) {
	for to = p; len(changes) > 0; {
		n := 1
		for n < len(changes) && changes[n].Number > 0 {
			n++
		}
		set := step{from: to, changes: changes[:n:n]}
		if to, err = to.Follow(set.changes); err != nil {
			return nil, to, err
		}
		set.to = to
		sets = append(sets, set)
		changes = changes[n:]
	}
	return sets, to, nil
}

// findGap returns an error if a set is missing before changes or among them. A database
// that follows another may apply sets out of order; the missing one will come.
func findGap(after conf.Position, changes []conf.Change) error {
	at := after.Revision
	for i := range changes {
		if c := &changes[i]; c.Number == 0 && c.Op != conf.OpFork && c.Revision > at+1 {
			return conf.Errorf(errFeedGap, "revision %d follows %d", c.Revision, at)
		}
		at = changes[i].Revision
	}
	return nil
}

// scan reads the current entries, which must be of store unless that is zero. It reuses
// the records of old, which may be nil, that have not changed. The state has the
// position of the first page, though entries of later pages may be newer.
func (r reader) scan(ctx context.Context, store conf.StoreID, old *state) (*state, error) {
	st := new(state)
	var cells []*cell
	for page, err := range r.pages(ctx, conf.ScanRequest{}, fullPages) {
		if err != nil {
			return nil, err
		}
		if st.position.IsZero() {
			st.position, st.floor = page.Position, page.Position.Revision
		}
		if page.Position.Store != st.position.Store || store != (conf.StoreID{}) && page.Position.Store != store {
			return nil, conf.Errorf(conf.ErrOtherStore, "the storage is store %v", page.Position.Store)
		}
		for i := range page.Entries {
			read := &record{Entry: page.Entries[i]}
			if n := len(cells); n > 0 && cells[n-1].Load().Key.Compare(read.Key) >= 0 {
				return nil, conf.Errorf(conf.ErrCorrupt, "a scan of the storage has key %s out of order", read.Key)
			}
			cells = append(cells, cellOf(old.reuse(read)))
		}
	}
	st.index = newIndex(cells)
	return st, nil
}

// pages yields all pages of scan, whose After and Limit are not used, and ends with the first error. Limit returns the number
// of entries of the page after a key, or 0 to end the scan.
func (r reader) pages(ctx context.Context, scan conf.ScanRequest, limit func(after conf.Key) int) iter.Seq2[conf.Page, error] {
	return func(yield func(conf.Page, error) bool) {
		req := scan
		for more := true; more; {
			if req.Limit = limit(req.After); req.Limit == 0 {
				return
			}
			page, err := r.from.Scan(ctx, req)
			if more = page.More; err == nil && more && len(page.Entries) == 0 {
				err = conf.Errorf(conf.ErrCorrupt, "a page of the scan is empty, but says that there are more")
			}
			if !yield(page, err) || err != nil {
				return
			}
			if more {
				req.After = page.Entries[len(page.Entries)-1].Key
			}
		}
	}
}

// fullPages is a limit for [reader.pages] that asks for full pages.
func fullPages(conf.Key) int { return scanPage }

// contentPages returns a limit for [reader.pages] that keeps the contents of a page within
// contentPageBytes. Records has the sizes of the contents. The scan ends with the last of
// them.
func contentPages(records []*record) func(after conf.Key) int {
	return func(after conf.Key) int {
		first := sort.Search(len(records), func(i int) bool { return records[i].Key.Compare(after) > 0 })
		n, bytes := 0, int64(0)
		for _, r := range records[first:] {
			if bytes += r.Size; n > 0 && bytes > contentPageBytes || n == scanPage {
				break
			}
			n++
		}
		return n
	}
}

// version reads the entry of a record, and verifies that it is what the record
// stands for.
func (r reader) version(ctx context.Context, of *record) (conf.Entry, error) {
	e, err := r.from.Read(ctx, of.Key, of.Revision)
	if err == nil {
		err = of.verify(&e)
	}
	return e, err
}

// current reads the current entry of key, or nil if there is none, and the page that it
// is of, for its position.
func (r reader) current(ctx context.Context, key conf.Key) (conf.Page, *conf.Entry, error) {
	page, err := r.from.Scan(ctx, conf.ScanRequest{Namespace: key.Namespace, Group: key.Group, Prefix: key.DataID, Limit: 1})
	if err != nil || len(page.Entries) == 0 || page.Entries[0].Key != key {
		return page, nil, err
	}
	return page, &page.Entries[0], nil
}

// entries yields the entries of records with their contents. Records are all of a namespace,
// or all that there are if namespace is "". It scans the storage, and reads each entry of
// which the scan has a newer version.
func (r reader) entries(ctx context.Context, namespace string, records []*record) iter.Seq2[conf.Entry, error] {
	return func(yield func(conf.Entry, error) bool) {
		scan := r.pages(ctx, conf.ScanRequest{Namespace: namespace, Contents: true}, contentPages(records))
		err := merge(records, scan, func(want *record, e *conf.Entry) (err error) {
			switch {
			case want == nil: // newer than what is served
				return nil
			case e != nil && want.verify(e) == nil:
			default:
				var old conf.Entry
				if old, err = r.version(ctx, want); err != nil {
					return err
				}
				e = &old
			}
			full := want.Entry
			full.Content = e.Content
			if !yield(full, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(conf.Entry{}, err)
		}
	}
}

// merge walks records, which are in key order, and the entries of a scan together. For every
// key it calls each with the record, the entry, or both. It ends with the first error.
func merge(records []*record, scan iter.Seq2[conf.Page, error], each func(r *record, e *conf.Entry) error) error {
	for page, err := range scan {
		if err != nil {
			return err
		}
		for i := range page.Entries {
			e := &page.Entries[i]
			for len(records) > 0 && records[0].Key.Compare(e.Key) < 0 {
				if err := each(records[0], nil); err != nil {
					return err
				}
				records = records[1:]
			}
			var r *record
			if len(records) > 0 && records[0].Key == e.Key {
				r, records = records[0], records[1:]
			}
			if err := each(r, e); err != nil {
				return err
			}
		}
	}
	for _, r := range records {
		if err := each(r, nil); err != nil {
			return err
		}
	}
	return nil
}
