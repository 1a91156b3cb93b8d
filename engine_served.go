package diamond

// view is an index as of one state, for who reads all of it while it moves on.
type undoLog struct {
	replaced map[Key]*record // since then, as they were; written as the index is
}

// keep notes what a record was before it is replaced, the first time. A nil view
// is nobody's.
func (u *undoLog) keep(old *record) {
	if u == nil {
		return
	}
	if _, ok := u.replaced[old.Key]; !ok {
		u.replaced[old.Key] = old
	}
}

// view returns the present state, nil where there is none, and the records of
// exactly that state that are not tombstones, in key order. It holds up nobody:
// what changes meanwhile is set right at the end. It is called by one goroutine
// at a time.
func (s *server) snapshot() (*state, []*record) {
	s.applyMu.Lock()
	st := s.state.Load()
	if st == nil {
		s.applyMu.Unlock()
		return nil, nil
	}
	undo := &undoLog{replaced: make(map[Key]*record)}
	st.index.undo = undo
	cells := st.index.order.Snapshot()
	s.applyMu.Unlock()

	var all []*record
	for place := range cells.All() {
		all = append(all, place.Load())
	}

	s.applyMu.Lock()
	st.index.undo = nil
	s.applyMu.Unlock()
	records := all[:0]
	for _, r := range all {
		if old, ok := undo.replaced[r.Key]; ok {
			r = old
		}
		if !r.deleted {
			records = append(records, r)
		}
	}
	return st, records
}
