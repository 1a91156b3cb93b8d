package diamond

import (
	"context"
	"errors"
	"sort"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

// rest pauses after something that the storage took that long for.
func rest(ctx context.Context, took time.Duration) error {
	return backoff.Sleep(ctx, min(max(checkRest*took, minCheckPause), maxCheckPause))
}

// compareRecords compares the entries of a storage with the records, and the
// contents in memory with the records.
func (c *checker) compareRecords(ctx context.Context, from checkStorage, suspect func(Key)) error {
	after, asked := Key{}, time.Now()
	for page, err := range (reader{from}).pages(ctx, false, fullPages) {
		took := time.Since(asked)
		if err != nil {
			return err
		}
		if err := c.comparePage(ctx, after, &page, suspect); err != nil {
			return err
		}
		if page.More {
			after = page.Entries[len(page.Entries)-1].Key
		}
		if err := rest(ctx, took); err != nil {
			return err
		}
		asked = time.Now()
	}
	return nil
}

// comparePage compares a page, and the gaps between its entries, with what is
// served once the server has reached the page's position.
func (c *checker) comparePage(ctx context.Context, after Key, page *Page, suspect func(Key)) error {
	if err := c.srv.notBefore(ctx, page.Position, reachTimeout); err != nil {
		return err
	}
	st := c.srv.state.Load()
	if st == nil || st.position.Epoch != page.Position.Epoch {
		return unavailable("what is served is not of the epoch that was read")
	}
	entries := page.Entries
	look := func(key Key, e *Entry) {
		if c.differs(st, page.Position, key, e) {
			suspect(key)
		}
	}
	for place := range st.index.order.Snapshot().From(func(p *cell) bool { return p.Load().Key.Compare(after) <= 0 }) {
		r := place.Load()
		for len(entries) > 0 && entries[0].Key.Compare(r.Key) < 0 {
			look(entries[0].Key, &entries[0])
			entries = entries[1:]
		}
		if page.More && len(entries) == 0 {
			return nil // the rest is of the next page
		}
		if len(entries) > 0 && entries[0].Key == r.Key {
			look(r.Key, &entries[0])
			entries = entries[1:]
		} else {
			look(r.Key, nil)
		}
		c.checkHeld(r)
	}
	for i := range entries {
		look(entries[i].Key, &entries[i])
	}
	return nil
}

// differs reports whether e, the entry of key in a page read at a position, nil
// where there is none, is not what st has, though no change since explains it.
func (c *checker) differs(st *state, at Position, key Key, e *Entry) bool {
	r := st.index.get(key)
	switch {
	case isAfter(r, at):
		now, r := c.srv.record(key)
		return now != nil && isAfter(r, now.position) // no such change has come
	case r == nil && e != nil:
		now := c.srv.state.Load()
		return now != nil && now.floor <= at.Revision // else its tombstone may have gone
	case r.absent():
		return e != nil
	}
	return e == nil || !r.standsFor(e)
}

// checkHeld verifies the content of r that is in memory.
func (c *checker) checkHeld(r *record) {
	h := r.cached.Load()
	if h == nil || r.standsFor(&h.entry) && MD5Hex(h.entry.Content) == r.MD5 {
		return
	}
	c.srv.contents.drop(r)
	c.report("memory", r.Key, r.Revision, "the content in memory did not have its digest: it is loaded anew")
}

// compareContents compares some contents of the storage with their digests.
func (c *checker) compareContents(ctx context.Context) (err error) {
	c.stored, err = c.walkContents(ctx, c.srv.storage, c.stored, func(r *record) { c.suspect(r.Key) })
	return err
}

// walkContents reads contents of a storage from after a key on, and calls bad
// with the record of each that is not what it should be. It returns where to go
// on.
func (c *checker) walkContents(ctx context.Context, from checkStorage, after Key, bad func(*record)) (Key, error) {
	limit := contentPages(c.records)
	for bytes := int64(0); bytes < checkBytes; {
		n := limit(after)
		if n == 0 {
			return Key{}, nil // the end: the next check begins anew
		}
		first := sort.Search(len(c.records), func(i int) bool { return c.records[i].Key.Compare(after) > 0 })
		batch := c.records[first : first+n]
		asked := time.Now()
		if err := c.readContents(ctx, from, after, batch, bad); err != nil {
			return after, err
		}
		for _, r := range batch {
			bytes += r.Size
		}
		after = batch[n-1].Key
		if err := rest(ctx, time.Since(asked)); err != nil {
			return after, err
		}
	}
	return after, nil
}

// readContents reads the contents of the records of a batch, in one go if that
// can be.
func (c *checker) readContents(ctx context.Context, from checkStorage, after Key, batch []*record, bad func(*record)) error {
	got := make(map[Key]*Entry, len(batch))
	page, err := from.Scan(ctx, ScanRequest{After: after, Limit: len(batch), Contents: true})
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return err
	}
	for i := range page.Entries { // none where one of them is damaged
		got[page.Entries[i].Key] = &page.Entries[i]
	}
	for _, r := range batch {
		if e := got[r.Key]; e != nil && r.verify(e) == nil {
			continue
		}
		e, err := from.Read(ctx, r.Key, r.Revision)
		if err == nil {
			err = r.verify(&e)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) && !isGone(err) {
			return err
		}
		if _, now := c.srv.record(r.Key); err != nil && now == r {
			bad(r)
		}
	}
	return nil
}
