package diamond

// SpoilRecord changes the record that a server has of key in memory, as a
// flipped bit would.
func SpoilRecord(srv Server, key Key, spoil func(*Entry)) {
	r := srv.(*server).served.state.Load().index.get(key)
	bad := &record{Entry: r.Entry}
	spoil(&bad.Entry)
	place, _ := srv.(*server).served.state.Load().index.cells.Load(key)
	place.Store(bad)
}

// SpoilContent changes the content of key that a server has in memory, and
// reports whether it has one.
func SpoilContent(srv Server, key Key, content string) bool {
	r := srv.(*server).served.state.Load().index.get(key)
	h := r.cached.Load()
	if h == nil {
		return false
	}
	bad := &cachedContent{entry: h.entry, record: h.record, key: h.key, element: h.element}
	bad.entry.Content = content
	return r.cached.CompareAndSwap(h, bad)
}

// ForgetRecord removes the record that a server has of key in memory.
func ForgetRecord(srv Server, key Key) { srv.(*server).served.state.Load().index.set(key, nil) }

// ViewOf returns the entries of a server as of one of its positions.
func ViewOf(srv Server) (at Position, entries []Entry) {
	st, records := srv.(*server).served.snapshot()
	for _, r := range records {
		entries = append(entries, r.Entry)
	}
	return st.position, entries
}
