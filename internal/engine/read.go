package engine

import (
	"context"
	"errors"

	"github.com/linnaname/gdiamond/conf"
)

// watchBytes is how many bytes of content one answer to Changes holds, or one
// change set where that has more.
const watchBytes = 1 << 20

// reads answers requests for entries and changes: from what is served, else from the
// replica or the storage.
type reads struct {
	storage interface {
		Read(ctx context.Context, key conf.Key, revision int64) (conf.Entry, error)
		Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error)
		History(ctx context.Context, key conf.Key, before int64, limit int) ([]conf.Change, error)
	}
	served  *served
	replica *replica // or nil if none is kept
	feed    *feed
	health  *health

	walking chan struct{} // capacity 1: a list walks along the keys
}

func newReads(storage Storage, feed *feed) *reads {
	return &reads{
		storage: storage, served: feed.served, replica: feed.replica, feed: feed, health: feed.health,
		walking: make(chan struct{}, 1),
	}
}

// present returns the state of key as of the server's position.
func (s *reads) present(ctx context.Context, key conf.Key) (*conf.FetchResponse, error) {
	for {
		st, err := s.served.serving()
		if err != nil {
			return nil, err
		}
		st, r := s.served.lookup(st, key)
		resp := &conf.FetchResponse{Position: st.position, Stale: s.health.stale()}
		if r == nil || r.deleted {
			return resp, nil
		}
		full, err := s.served.contents.get(ctx, r)
		if err == nil {
			resp.Found, resp.Entry = true, *full
			return resp, nil
		}
		if !isGone(err) {
			return nil, err
		}
		// The storage has moved on and let go of this version, and the index has
		// not heard of it yet.
		if err := s.overtaken(ctx, key, r); err != nil {
			return nil, err
		}
	}
}

// overtaken waits until the index has another record of key than r. It does
// not fail with "not found": the index says that the key is there.
func (s *reads) overtaken(ctx context.Context, key conf.Key, r *record) error {
	s.feed.wake()
	waiting, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	err := s.served.await(waiting, func(st *state) bool { return st.index.get(key) != r })
	if err != nil && ctx.Err() == nil && waiting.Err() != nil {
		return unavailable("the storage does not have revision %d, which its changes name", r.Revision)
	}
	return err
}

// version returns the value of key that was published at exactly revision.
func (s *reads) version(ctx context.Context, key conf.Key, revision int64) (*conf.FetchResponse, error) {
	st, err := s.served.serving()
	if err != nil {
		return nil, err
	}
	resp := &conf.FetchResponse{Found: true, Position: st.position, Stale: s.health.stale()}
	resp.Entry, err = s.entry(ctx, st, key, revision)
	return resp, err
}

// entry returns the value of key published at revision: the present one as
// reads of it get it, others from the replica or the storage.
func (s *reads) entry(ctx context.Context, st *state, key conf.Key, revision int64) (conf.Entry, error) {
	if _, r := s.served.lookup(st, key); r != nil && !r.deleted && r.Revision == revision {
		full, err := s.served.contents.get(ctx, r)
		if err != nil {
			return conf.Entry{}, err
		}
		return *full, nil
	}
	if err := s.served.contents.turn(); err != nil {
		return conf.Entry{}, err
	}
	defer s.served.contents.turned()
	if s.replica.has(st, revision) {
		if e, err := s.replica.read(ctx, key, revision); err == nil {
			return e, nil
		}
	}
	return s.storage.Read(ctx, key, revision)
}

// history returns the changes of key from the storage, or from the replica where
// the storage cannot be reached.
func (s *reads) history(ctx context.Context, key conf.Key, before int64, limit int) ([]conf.Change, error) {
	st := s.served.state.Load()
	kept := st != nil && s.replica.has(st, 0)
	if kept && s.health.stale() > 0 { // not even to find out again, which may take long
		if changes, err := s.replica.local.History(ctx, key, before, limit); err == nil {
			return changes, nil
		}
	}
	changes, err := s.storage.History(ctx, key, before, limit)
	if kept && errors.Is(err, conf.ErrUnavailable) {
		if changes, err := s.replica.local.History(ctx, key, before, limit); err == nil {
			return changes, nil
		}
	}
	return changes, err
}

// list returns a page of entries.
func (s *reads) list(ctx context.Context, scan conf.ScanRequest, contents bool) (*conf.ListResponse, error) {
	for {
		st, err := s.served.serving()
		if err != nil {
			return nil, err
		}
		l, ok, err := s.listAsOf(ctx, st, scan)
		if err != nil {
			return nil, err
		}
		if !ok {
			s.served.stable(func(*state) {}) // a batch is being applied, or has been
			continue
		}
		resp := &conf.ListResponse{Position: st.position, Stale: s.health.stale(), More: l.more}
		for _, r := range l.found {
			resp.Entries = append(resp.Entries, r.Entry)
		}
		if contents {
			err = s.fill(ctx, resp, l.found)
		}
		return resp, err
	}
}

// listAsOf returns what a page has as of st. It is not ok where that cannot be told
// any more: the first key has changed since, or tombstones may have gone that say
// that a key had a value.
func (s *reads) listAsOf(ctx context.Context, st *state, scan conf.ScanRequest) (l *listing, ok bool, err error) {
	l = newListing(st, scan)
	if err := s.walk(ctx, l); err != nil {
		return nil, false, err
	}
	now := s.served.state.Load()
	return l, !l.overtaken && (now == nil || now.floor <= st.position.Revision), nil
}

// walk has a listing walk until it has something or has seen all. One walks at a
// time, and in turns: whatever is asked for, lists take one processor at most, and
// none waits for long for another.
func (s *reads) walk(ctx context.Context, l *listing) error {
	for done := false; !done; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s.walking <- struct{}{}:
		}
		done = l.turn() || len(l.found) > 0 || l.overtaken
		<-s.walking
	}
	return nil
}

// fill adds the contents of records, and cuts the page before they get too many,
// or where one went while the page was being read.
func (s *reads) fill(ctx context.Context, resp *conf.ListResponse, records []*record) error {
	var total int64
	for i, r := range records {
		if total += r.Size; i > 0 && total > conf.InlineTotal {
			resp.Entries, resp.More = resp.Entries[:i], true
			return nil
		}
		full, err := s.served.contents.get(ctx, r)
		switch {
		case isGone(err) && i > 0:
			resp.Entries, resp.More = resp.Entries[:i], true
			return nil
		case isGone(err):
			return unavailable("revision %d of %s went while it was read", r.Revision, r.Key)
		case err != nil:
			return err
		}
		resp.Entries[i] = *full
	}
	return nil
}

// changesAfter returns what the filter leaves of the changes that follow. It
// asks the storage only for what is not among the recent ones; behind says that
// it did not show any.
func (s *reads) changesAfter(ctx context.Context, after conf.Position, req *conf.ChangesRequest) (resp *conf.ChangesResponse, behind bool, err error) {
	st, err := s.served.serving()
	if err != nil {
		return nil, false, err
	}
	resp = &conf.ChangesResponse{Position: after}
	if after == st.position {
		return resp, false, nil
	}
	if sets, ok := s.served.recent.after(after); ok {
		addRecent(resp, sets, req)
	} else {
		batch, err := s.after(ctx, st, after)
		if err != nil {
			return nil, false, err
		}
		addChanges(resp, batch.Changes, req)
		resp.Position, resp.More = batch.Position, batch.Position != batch.Head
		behind = batch.Position == after
	}
	// Who sees a change here and then reads it here must find it.
	if err := s.feed.notBefore(ctx, resp.Position, reachTimeout); err != nil {
		return nil, false, err
	}
	return resp, behind, nil
}

// addRecent adds to resp what the filter leaves of sets, up to the bytes of an answer.
func addRecent(resp *conf.ChangesResponse, sets []step, req *conf.ChangesRequest) {
	for bytes := int64(0); len(sets) > 0; sets = sets[1:] {
		if bytes >= watchBytes {
			resp.More = true
			return
		}
		before := len(resp.Changes)
		addChanges(resp, sets[0].changes, req)
		resp.Position = sets[0].to
		bytes += bytesOf(resp.Changes[before:])
	}
}

// addChanges adds to resp what the filter leaves of changes.
func addChanges(resp *conf.ChangesResponse, changes []conf.Change, req *conf.ChangesRequest) {
	for _, c := range changes {
		if c.Op != conf.OpFork && !req.Matches(c.Key) {
			continue
		}
		if !req.Contents {
			c.Content = ""
		}
		resp.Changes = append(resp.Changes, c)
	}
}

// after returns changes that follow a position: those that the replica
// has, so that watches cost a shared storage nothing, else the storage's.
func (s *reads) after(ctx context.Context, st *state, p conf.Position) (conf.Batch, error) {
	if s.replica.has(st, p.Revision+1) {
		if batch, err := s.replica.local.Changes(ctx, p, watchBytes); err == nil && len(batch.Changes) > 0 {
			return batch, nil
		}
	}
	return s.storage.Changes(ctx, p, watchBytes)
}
