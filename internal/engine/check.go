package engine

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sort"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
)

const (
	// A check loads a storage for about a tenth of the time: after each page it pauses
	// for checkRest times as long as the page took, within the limits below.
	checkRest     = 9
	minCheckPause = 50 * time.Millisecond
	maxCheckPause = 2 * time.Second
	// checkBytes is the number of bytes of content that one check reads from the storage,
	// and from the replica. The next check continues there.
	checkBytes = 16 << 20
	// maxSuspects is the maximum number of keys that one check examines. The next check
	// examines the rest.
	maxSuspects = 1000
	// verifyPause is the pause of a check between two keys that it examines.
	verifyPause = 50 * time.Millisecond
)

// checker compares what a server holds with its storage at an interval. One goroutine
// runs it.
type checker struct {
	log      *slog.Logger
	interval time.Duration
	reader   reader // of the storage
	served   *served
	replica  *replica // or nil if none is kept
	feed     *feed
	health   *health
	verifier *verifier

	// The goroutine's alone.
	records        []*record             // of the check under way, in key order
	suspects       map[conf.Key]struct{} // to be examined, perhaps by the next check
	known          map[conf.Key]int64    // differences in the storage that were reported, with their revision
	stored, copied conf.Key              // after which the next checks of contents continue

	divergent atomic.Int64          // keys that the last check found to differ
	err       atomic.Pointer[error] // why the last check was not completed, or nil if it was

	checks, failures, divergences atomic.Uint64 // see [conf.ServerCounters]
}

func newChecker(log *slog.Logger, interval time.Duration, storage Storage, feed *feed) *checker {
	return &checker{
		log: log, interval: interval, reader: reader{storage},
		served: feed.served, replica: feed.replica, feed: feed, health: feed.health,
		verifier: &verifier{storage: storage, reader: reader{storage}, served: feed.served, replica: feed.replica, feed: feed},
		suspects: make(map[conf.Key]struct{}), known: make(map[conf.Key]int64),
	}
}

// run checks again and again until ctx ends.
func (c *checker) run(ctx context.Context) {
	for backoff.Sleep(ctx, backoff.Jitter(c.interval, 0.1)) == nil {
		if c.served.state.Load() == nil || c.health.stale() > 0 {
			continue // nothing is served, or there is no storage to compare it with
		}
		if err := c.check(ctx); ctx.Err() == nil {
			c.ended(err)
		}
	}
}

// ended records that a check was completed, or the reason that it was not.
func (c *checker) ended(err error) {
	if err == nil {
		c.err.Store(nil)
		return
	}
	level := slog.LevelWarn
	if errors.Is(err, conf.ErrCorrupt) {
		level = slog.LevelError
	}
	c.log.Log(context.Background(), level, "the check of the server against its storage was not completed", "err", err)
	c.failures.Add(1)
	c.err.Store(&err)
}

func (c *checker) check(ctx context.Context) error {
	st := c.served.state.Load()
	if st == nil {
		return nil
	}
	for place := range st.index.order.Snapshot().All() {
		if r := place.Load(); !r.deleted {
			c.records = append(c.records, r)
		}
	}
	defer func() { c.records = nil }()
	if err := c.compareRecords(ctx, c.reader, c.suspect); err != nil {
		return err
	}
	if err := c.compareContents(ctx); err != nil {
		return err
	}
	verified := c.verifySuspects(ctx)
	if verified != nil && !errors.Is(verified, conf.ErrCorrupt) {
		return verified
	}
	if c.replica != nil {
		if err := c.checkReplica(ctx); err != nil {
			return errors.Join(verified, err)
		}
	}
	if verified != nil {
		return verified
	}
	c.checks.Add(1)
	return nil
}

func (c *checker) suspect(key conf.Key) { c.suspects[key] = struct{}{} }

// verifySuspects examines the keys that seem to differ. Those that were not reported yet
// come first. A key whose history is damaged does not keep it from examining the others.
func (c *checker) verifySuspects(ctx context.Context) error {
	defer func() { c.divergent.Store(int64(len(c.known))) }()
	var look []conf.Key
	for key := range c.suspects {
		if _, told := c.known[key]; !told {
			look = append(look, key)
		}
	}
	unknown := len(look)
	look = slices.AppendSeq(look, maps.Keys(c.known))
	var damaged error
	for _, key := range look[:min(len(look), maxSuspects)] {
		switch err := c.verify(ctx, key); {
		case err == nil:
			delete(c.suspects, key)
		case errors.Is(err, conf.ErrCorrupt):
			damaged = err
		default:
			return err
		}
		if err := backoff.Sleep(ctx, verifyPause); err != nil {
			return err
		}
	}
	if damaged != nil {
		return damaged
	}
	if unknown > maxSuspects {
		return conf.Errorf(conf.ErrCorrupt, "%d keys seem to differ, and %d of them were looked at; the next check goes on with the rest", unknown, maxSuspects)
	}
	return nil
}

// verify examines a key, and reports what is wrong with it.
func (c *checker) verify(ctx context.Context, key conf.Key) error {
	found, err := c.verifier.verify(ctx, key)
	if found.memory {
		c.report("memory", key, found.revision, "the server's record was not what was published: it is loaded anew")
	}
	switch {
	case err != nil || !found.settled:
		return err
	case found.storage == "":
		delete(c.known, key)
		return nil
	}
	if c.known[key] != found.revision {
		c.report("storage", key, found.revision, found.storage)
	}
	c.known[key] = found.revision
	return nil
}

// report logs and counts a difference.
func (c *checker) report(where string, key conf.Key, revision int64, what string) {
	c.divergences.Add(1)
	c.log.Error("the self-check found a difference: "+what, "where", where, "key", key.String(), "revision", revision)
}

// rest pauses after work that took the storage as long as took.
func rest(ctx context.Context, took time.Duration) error {
	return backoff.Sleep(ctx, min(max(checkRest*took, minCheckPause), maxCheckPause))
}

// compareRecords compares the entries of a storage with the records, and the
// contents in memory with the records.
func (c *checker) compareRecords(ctx context.Context, from reader, suspect func(conf.Key)) error {
	after, asked := conf.Key{}, time.Now()
	for page, err := range from.pages(ctx, conf.ScanRequest{}, fullPages) {
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

// comparePage compares a page, and the gaps between its entries, with the state of the
// server. It first waits until the server has reached the page's position.
func (c *checker) comparePage(ctx context.Context, after conf.Key, page *conf.Page, suspect func(conf.Key)) error {
	if err := c.feed.notBefore(ctx, page.Position, reachTimeout); err != nil {
		return err
	}
	st := c.served.state.Load()
	if st == nil || st.position.Epoch != page.Position.Epoch {
		return unavailable("what is served is not of the epoch that was read")
	}
	entries := page.Entries
	look := func(key conf.Key, e *conf.Entry) {
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
		c.checkContent(r)
	}
	for i := range entries {
		look(entries[i].Key, &entries[i])
	}
	return nil
}

// differs reports whether the page's entry of key differs from what st has, and no change
// since the page was read explains it. E is the entry, or nil if the page has none, and at
// is the position of the page.
func (c *checker) differs(st *state, at conf.Position, key conf.Key, e *conf.Entry) bool {
	r := st.index.get(key)
	switch {
	case isAfter(r, at):
		now, r := c.served.record(key)
		return now != nil && isAfter(r, now.position) // a revision that the server has not reached is damage
	case r == nil && e != nil:
		now := c.served.state.Load()
		return now != nil && now.floor <= at.Revision // otherwise its tombstone may have been dropped
	case r.absent():
		return e != nil
	}
	return e == nil || !r.standsFor(e)
}

// checkContent verifies the content of r that is in memory.
func (c *checker) checkContent(r *record) {
	h := r.cached.Load()
	if h == nil || r.standsFor(&h.entry) && conf.MD5Hex(h.entry.Content) == r.MD5 {
		return
	}
	c.served.contents.drop(r)
	c.report("memory", r.Key, r.Revision, "the content in memory did not have its digest: it is loaded anew")
}

// compareContents compares some contents of the storage with their digests.
func (c *checker) compareContents(ctx context.Context) (err error) {
	c.stored, err = c.walkContents(ctx, c.reader, c.stored, func(r *record) { c.suspect(r.Key) })
	return err
}

// walkContents reads contents of a storage, beginning after a key, and calls bad with the
// record of each content that is not the published one. It returns the key after which the
// next check continues.
func (c *checker) walkContents(ctx context.Context, from reader, after conf.Key, bad func(*record)) (conf.Key, error) {
	limit := contentPages(c.records)
	for bytes := int64(0); bytes < checkBytes; {
		n := limit(after)
		if n == 0 {
			return conf.Key{}, nil // the end: the next check begins with the first key
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

// readContents reads the contents of the records of a batch, with one scan if possible.
func (c *checker) readContents(ctx context.Context, from reader, after conf.Key, batch []*record, bad func(*record)) error {
	got := make(map[conf.Key]*conf.Entry, len(batch))
	page, err := from.from.Scan(ctx, conf.ScanRequest{After: after, Limit: len(batch), Contents: true})
	if err != nil && !errors.Is(err, conf.ErrCorrupt) {
		return err
	}
	for i := range page.Entries { // there are none if one of them is damaged
		got[page.Entries[i].Key] = &page.Entries[i]
	}
	for _, r := range batch {
		if e := got[r.Key]; e != nil && r.verify(e) == nil {
			continue
		}
		_, err := from.version(ctx, r)
		if err != nil && !errors.Is(err, conf.ErrCorrupt) && !isGone(err) {
			return err
		}
		if _, now := c.served.record(r.Key); err != nil && now == r {
			bad(r)
		}
	}
	return nil
}

// checkReplica compares the replica with what is served. If one key differs the whole
// replica is rebuilt.
func (c *checker) checkReplica(ctx context.Context) error {
	if st := c.served.state.Load(); st == nil || !c.replica.has(st, 1) {
		return nil // it is being built
	}
	local := reader{c.replica.local}
	var suspects []conf.Key
	err := c.compareRecords(ctx, local, func(key conf.Key) { suspects = append(suspects, key) })
	if err == nil {
		c.copied, err = c.walkContents(ctx, local, c.copied, func(r *record) { suspects = append(suspects, r.Key) })
	}
	switch {
	case errors.Is(err, conf.ErrCorrupt):
		c.replica.damage(err)
		return nil
	case err != nil:
		return err
	}
	for _, key := range suspects {
		revision, differs, err := c.differsInReplica(ctx, key)
		if err != nil {
			return err
		}
		if differs {
			c.report("replica", key, revision, "the replica was not what is served: it is made anew")
			c.replica.damage(conf.Errorf(conf.ErrCorrupt, "revision %d of %s is not what was published", revision, key))
			return nil
		}
	}
	return nil
}

// differsInReplica reports whether the replica differs from what is served in a key,
// although the replica has reached the revision of that key.
func (c *checker) differsInReplica(ctx context.Context, key conf.Key) (revision int64, differs bool, err error) {
	page, e, err := reader{c.replica.local}.current(ctx, key)
	if err != nil {
		if errors.Is(err, conf.ErrCorrupt) {
			return 0, true, nil
		}
		return 0, false, err
	}
	st, r := c.served.record(key)
	switch {
	case st == nil || page.Position.Epoch != st.position.Epoch || isAfter(r, page.Position):
		return 0, false, nil // it has not reached that revision yet
	case r.absent():
		if e == nil || max(e.View, e.Revision) > st.position.Revision || page.Position != st.position {
			return 0, false, nil
		}
		return e.Revision, true, nil
	case e == nil || !r.standsFor(e):
		ahead := page.Position.Revision > st.position.Revision
		return r.Revision, !ahead, nil
	}
	_, err = reader{c.replica.local}.version(ctx, r)
	return r.Revision, errors.Is(err, conf.ErrCorrupt) || isGone(err), nil
}

// describe fills in what status says of the checks.
func (c *checker) describe(status *conf.ServerStatus) {
	status.Divergent = int(c.divergent.Load())
	if p := c.err.Load(); p != nil {
		status.CheckErr = *p
	}
	status.Counters.Checks, status.Counters.CheckFailures = c.checks.Load(), c.failures.Load()
	status.Counters.Divergences = c.divergences.Load()
}
