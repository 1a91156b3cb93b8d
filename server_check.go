package diamond

import (
	"context"
	"errors"
	"math/rand/v2"
	"sort"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

const (
	// checkPause is how long a check pauses between two pages that it asks of the
	// storage.
	checkPause = 2 * time.Second
	// checkBytes is how many bytes of content one check reads of the storage, and
	// of the copy on disk; the next one goes on from there.
	checkBytes = 16 << 20
	// maxSuspects is how many keys one check looks at closely.
	maxSuspects = 1000
)

// WithSelfCheck sets how often the server compares what it holds with its
// storage, with jitter; by default every 5 minutes.
//
// A check compares the record of every key, the contents in memory, and some
// of the contents in the storage and in the copy on disk (16 MiB of each, the
// next check goes on from there), with a pause between the pages that it
// reads. What a change explains that came meanwhile is no difference. The
// truth is what the storage's log says was published, which the server
// verifies by its chain where it can: memory that differs from it is loaded
// anew, a copy on disk is made anew, and a storage whose entry or content does
// not agree with its own log, as after a change by hand, is reported for as
// long as that is so, while the server goes on serving what was published. Each
// difference is logged once, with its key and revision, and counted in
// ServerStatus.Counters.Divergences.
func WithSelfCheck(every time.Duration) ServerOption {
	return serverOption(func(c *serverConfig) { c.checkInterval = every })
}

// checker compares what a server holds with its storage. One goroutine uses it.
type checker struct {
	srv      *server
	records  []*record     // of the check under way, in key order
	suspects []Key         // to be looked at closely
	known    map[Key]int64 // differences in the storage that were told of, with their revision

	// Where the checks of contents go on.
	stored, copied Key
}

// checkAlways checks again and again until ctx ends.
func (s *server) checkAlways(ctx context.Context) {
	c := &checker{srv: s, known: make(map[Key]int64)}
	for backoff.Sleep(ctx, backoff.Jitter(s.cfg.checkInterval, 0.1)) == nil {
		if s.state.Load() == nil || s.stale() > 0 {
			continue // there is nothing to compare, or with
		}
		if err := c.check(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("the check of the server against its storage was not completed", "err", err)
		}
	}
}

func (c *checker) check(ctx context.Context) error {
	st := c.srv.state.Load()
	if st == nil {
		return nil
	}
	// Records may come and go while they are gathered and compared: what differs
	// is only suspected, and then looked at as of one position.
	c.records = st.index.sorted()
	defer func() { c.records, c.suspects = nil, nil }()
	for key := range c.known {
		c.suspects = append(c.suspects, key)
	}
	if err := c.compareRecords(ctx); err != nil {
		return err
	}
	if err := c.compareContents(ctx); err != nil {
		return err
	}
	rand.Shuffle(len(c.suspects), func(i, j int) { c.suspects[i], c.suspects[j] = c.suspects[j], c.suspects[i] })
	for _, key := range c.suspects[:min(len(c.suspects), maxSuspects)] {
		if err := c.settle(ctx, key); err != nil {
			return err
		}
		if err := backoff.Sleep(ctx, settlePause); err != nil {
			return err
		}
	}
	c.srv.divergent.Store(int64(len(c.known)))
	if c.srv.copy != nil {
		if err := c.checkCopy(ctx); err != nil {
			return err
		}
	}
	c.srv.counters.checks.Add(1)
	return nil
}

// compareRecords compares the records with the storage's entries, and the
// contents in memory with the records.
func (c *checker) compareRecords(ctx context.Context) error {
	paced := func(yield func(Page, error) bool) {
		for page, err := range pages(ctx, c.srv.storage, false, all) {
			if !yield(page, err) || err != nil {
				return
			}
			if page.More && backoff.Sleep(ctx, checkPause) != nil {
				yield(Page{}, ctx.Err())
				return
			}
		}
	}
	return merge(c.records, paced, func(r *record, e *Entry) error {
		switch {
		case r == nil:
			c.suspects = append(c.suspects, e.Key)
		case e == nil || !r.standsFor(e):
			c.suspects = append(c.suspects, r.Key)
		}
		if r != nil {
			c.checkHeld(r)
		}
		return nil
	})
}

// checkHeld verifies the content of r that is in memory.
func (c *checker) checkHeld(r *record) {
	h := r.held.Load()
	if h == nil || r.standsFor(&h.entry) && MD5Hex(h.entry.Content) == r.MD5 {
		return
	}
	c.srv.contents.drop(r)
	c.report("memory", r.Key, r.Revision, "the content in memory did not have its digest: it is loaded anew")
}

// compareContents compares some contents of the storage with their digests.
func (c *checker) compareContents(ctx context.Context) (err error) {
	c.stored, err = c.walkContents(ctx, c.srv.storage, c.stored, checkPause, func(r *record, _ error) {
		c.suspects = append(c.suspects, r.Key)
	})
	return err
}

// walkContents reads contents of a storage from after a key on, and calls bad
// with the record of each that is not what it should be. It returns where to go
// on.
func (c *checker) walkContents(ctx context.Context, from Storage, after Key, pause time.Duration, bad func(*record, error)) (Key, error) {
	limit := contentPages(c.records)
	for bytes := int64(0); bytes < checkBytes; {
		n := limit(after)
		if n == 0 {
			return Key{}, nil // the end: the next check begins anew
		}
		if err := backoff.Sleep(ctx, pause); err != nil {
			return after, err
		}
		first := sort.Search(len(c.records), func(i int) bool { return c.records[i].Key.Compare(after) > 0 })
		batch := c.records[first : first+n]
		if err := c.readContents(ctx, from, after, batch, bad); err != nil {
			return after, err
		}
		for _, r := range batch {
			bytes += r.Size
		}
		after = batch[n-1].Key
	}
	return after, nil
}

// readContents reads the contents of the records of a batch, in one go if that
// can be.
func (c *checker) readContents(ctx context.Context, from Storage, after Key, batch []*record, bad func(*record, error)) error {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
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
		if err := ctx.Err(); err != nil {
			return err
		}
		if e, err := from.Read(ctx, r.Key, r.Revision); err != nil {
			bad(r, err)
		} else if err := r.verify(&e); err != nil {
			bad(r, err)
		}
	}
	return nil
}

// report tells of a difference, once.
func (c *checker) report(where string, key Key, revision int64, what string) {
	c.srv.counters.divergences.Add(1)
	c.srv.log.Error("the self-check found a difference: "+what, "where", where, "key", key.String(), "revision", revision)
}
