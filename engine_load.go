package diamond

import (
	"context"
	"iter"
)

// scanPage is how many entries are asked for at once while loading.
const scanPage = 5000

// load reads everything anew and then serves it. What is served until then
// goes on being served, so nothing that was acknowledged is ever taken back:
// ErrEpoch says that the storage is behind that.
func (s *server) load(ctx context.Context) error {
	old := s.state.Load()
	next, err := s.scan(readForFeed(ctx), s.storage, old)
	if err != nil {
		return err
	}
	for caughtUp := false; !caughtUp; {
		batch, _, err := s.changes(ctx, next.position)
		if err != nil {
			return err
		}
		for i := range batch.Changes {
			if c := &batch.Changes[i]; c.Op != OpFork {
				next.index.put(recordOf(c))
			}
		}
		next.index.arrange()
		next.position = batch.Position
		caughtUp = batch.Position == batch.Head
	}
	if old != nil && !next.reached(old.position) {
		return Errorf(ErrEpoch, "the storage is at revision %d, and was at %d", next.position.Revision, old.position.Revision)
	}
	s.startFrom(old, next)
	return nil
}

// scan reads the current entries of a storage. The state stands at the position
// of the first page, though entries of later pages may be newer.
func (s *server) scan(ctx context.Context, from Storage, old *state) (*state, error) {
	st := new(state)
	var cells []*cell
	for page, err := range pages(ctx, from, false, fullPages) {
		if err != nil {
			return nil, err
		}
		if st.position.IsZero() {
			st.position, st.floor = page.Position, page.Position.Revision
		}
		if page.Position.Store != st.position.Store || s.store != (StoreID{}) && page.Position.Store != s.store {
			return nil, Errorf(ErrOtherStore, "the storage is store %v", page.Position.Store)
		}
		for i := range page.Entries {
			r := &record{Entry: page.Entries[i]}
			if n := len(cells); n > 0 && cells[n-1].Load().Key.Compare(r.Key) >= 0 {
				return nil, Errorf(ErrCorrupt, "a scan of the storage has key %s out of order", r.Key)
			}
			cells = append(cells, cellOf(old.reuse(r)))
		}
	}
	st.index = newIndex(cells)
	return st, nil
}

// fullPages asks for full pages.
func fullPages(Key) int { return scanPage }

// pages yields all pages of a scan, and ends with the first error. The page
// after a key has as many entries as limit says; 0 ends the scan.
func pages(ctx context.Context, from Storage, contents bool, limit func(after Key) int) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		req := ScanRequest{Contents: contents}
		for more := true; more; {
			if req.Limit = limit(req.After); req.Limit == 0 {
				return
			}
			page, err := from.Scan(ctx, req)
			if more = page.More; err == nil && more && len(page.Entries) == 0 {
				err = Errorf(ErrCorrupt, "a page of the scan is empty, but says that there are more")
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

// startFrom serves next, a state that was read, instead of old, which may be nil.
func (s *server) startFrom(old, next *state) {
	s.replace(old, next)
	s.store = next.position.Store
	s.lag.toHead()
	if s.replica != nil {
		s.replica.wake()
	}
}
