package diamond

import (
	"context"
	"iter"
	"maps"
	"time"
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
	s.replace(old, next)
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

// reuse returns the state's own record of the same value, and with it the
// content that may be in memory; else r.
func (st *state) reuse(r *record) *record {
	if st != nil {
		if have := st.index.get(r.Key); have != nil && have.says(r) {
			return have
		}
	}
	return r
}

// says reports whether r and o say the same of the same revision, which may be
// another's where history was lost.
func (r *record) says(o *record) bool {
	return r.deleted == o.deleted && r.standsFor(&o.Entry)
}

// standsFor reports whether r is the record of e.
func (r *record) standsFor(e *Entry) bool {
	return r.Key == e.Key && r.Revision == e.Revision && r.MD5 == e.MD5 && r.Size == e.Size &&
		r.Type == e.Type && r.Modified.Equal(e.Modified) && maps.Equal(r.Meta, e.Meta)
}

// replace serves next instead of old, which may be nil.
func (s *server) replace(old, next *state) {
	next.since, next.applied = next.position.Revision, time.Now()
	s.applyMu.Lock()
	s.recent.restart(next.position)
	s.state.Store(next)
	s.applyMu.Unlock()
	s.store = next.position.Store
	s.lag.toHead()
	s.trail.restart(next.position)
	if s.replica != nil {
		s.replica.wake()
	}
	if old != nil {
		for key, place := range old.index.cells.All() {
			if r := place.Load(); next.index.get(key) != r {
				s.contents.drop(r)
			}
		}
		if old.position.Epoch != next.position.Epoch {
			s.counters.forks.Add(1)
			s.historyLost.Store(false)
		}
	}
	s.wakeAll()
}
