package diamond

import (
	"context"
	"errors"
	"iter"
	"sort"
)

// contentPageBytes is about how many bytes of content one page of a scan has.
const contentPageBytes = 4 << 20

// errStopped ends a walk that has seen enough.
var errStopped = errors.New("stopped")

// installReplica makes the server's copy anew: exactly what is served at one
// position, so that it can be served from there, whenever that will be.
func (s *server) installReplica(ctx context.Context) (Position, error) {
	st, records := s.snapshot()
	if st == nil {
		return Position{}, unavailable("not ready: there is nothing to make the replica of")
	}
	err := s.replica.local.Install(ctx, st.position, s.entries(ctx, records))
	return st.position, err
}

// entries yields the entries of records with their contents. They come from a
// scan, and one by one where that is newer already.
func (s *server) entries(ctx context.Context, records []*record) iter.Seq2[Entry, error] {
	read := func(r *record) (Entry, error) {
		e, err := s.storage.Read(ctx, r.Key, r.Revision)
		if err == nil {
			err = r.verify(&e)
		}
		return e, err
	}
	return func(yield func(Entry, error) bool) {
		scan := pages(ctx, s.storage, true, contentPages(records))
		err := merge(records, scan, func(r *record, e *Entry) (err error) {
			switch {
			case r == nil: // newer than what is served
				return nil
			case e != nil && r.verify(e) == nil:
			default:
				var old Entry
				if old, err = read(r); err != nil {
					return err
				}
				e = &old
			}
			full := r.Entry
			full.Content = e.Content
			if !yield(full, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(Entry{}, err)
		}
	}
}

// contentPages returns how many entries to ask for after a key, so that a page
// has not too many bytes of content; records says how long they are, and where
// to end.
func contentPages(records []*record) func(after Key) int {
	return func(after Key) int {
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

// merge walks records, which are sorted, and the entries of a scan, and calls
// each once a key with what there is of it: a record, an entry, or both. It
// ends with the first error.
func merge(records []*record, scan iter.Seq2[Page, error], each func(r *record, e *Entry) error) error {
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
