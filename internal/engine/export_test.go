package engine

import "github.com/linnaname/gdiamond/conf"

// The functions below take a diamond.Server, which this file cannot import. It must be
// a [Server].

// SpoilRecord changes the record that a server has of key in memory, as a flipped bit
// would.
func SpoilRecord(srv any, key conf.Key, spoil func(*conf.Entry)) {
	index := srv.(*Server).served.state.Load().index
	bad := &record{Entry: index.get(key).Entry}
	spoil(&bad.Entry)
	place, _ := index.cells.Load(key)
	place.Store(bad)
}

// SpoilContent changes the content of key that a server has in memory, and reports
// whether it has one.
func SpoilContent(srv any, key conf.Key, content string) bool {
	r := srv.(*Server).served.state.Load().index.get(key)
	h := r.cached.Load()
	if h == nil {
		return false
	}
	bad := &cachedContent{entry: h.entry, record: h.record, key: h.key, element: h.element}
	bad.entry.Content = content
	return r.cached.CompareAndSwap(h, bad)
}

// ForgetRecord removes the record that a server has of key in memory.
func ForgetRecord(srv any, key conf.Key) { srv.(*Server).served.state.Load().index.set(key, nil) }

// ViewOf returns the entries of a server as of one of its positions.
func ViewOf(srv any) (at conf.Position, entries []conf.Entry) {
	st, records := srv.(*Server).served.snapshot()
	for _, r := range records {
		entries = append(entries, r.Entry)
	}
	return st.position, entries
}
