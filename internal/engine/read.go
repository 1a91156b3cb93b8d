package engine

import (
	"context"
	"errors"

	"github.com/linnaname/gdiamond/conf"
)

// watchBytes is the number of bytes of content in one answer to Changes, or in its only
// change set if that has more.
const watchBytes = 1 << 20

// reads answers requests for entries and changes, from what is served or else from the
// replica or the storage.
type reads struct {
	storage interface {
		Read(ctx context.Context, key conf.Key, revision int64) (conf.Entry, error)
		Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error)
		History(ctx context.Context, key conf.Key, before int64, limit int) ([]conf.Change, error)
		PositionAt(ctx context.Context, revision int64) (conf.Position, error)
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
		// The storage no longer has this version, because a later change has replaced it
		// that the index does not have yet.
		if err := s.overtaken(ctx, key, r); err != nil {
			return nil, err
		}
	}
}

// overtaken waits until the index has another record of key than r. It does not fail with
// ErrNotFound, because the index says that the key exists.
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

// entry returns the value of key that was published at revision. It reads the present value
// like present does, and others from the replica or the storage.
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

// history returns the changes of key from the storage, or from the replica if the storage
// cannot be reached.
func (s *reads) history(ctx context.Context, key conf.Key, before int64, limit int) ([]conf.Change, error) {
	st := s.served.state.Load()
	kept := st != nil && s.replica.has(st, 0)
	if kept && s.health.stale() > 0 { // without asking the storage again, which may take long
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

// listAsOf returns the page as of st. Ok is false if the index no longer shows that: the
// first key has changed since, or the tombstone of a key that had a value in st may have
// been dropped.
func (s *reads) listAsOf(ctx context.Context, st *state, scan conf.ScanRequest) (l *listing, ok bool, err error) {
	l = newListing(st, scan)
	if err := s.walk(ctx, l); err != nil {
		return nil, false, err
	}
	now := s.served.state.Load()
	return l, !l.overtaken && (now == nil || now.floor <= st.position.Revision), nil
}

// walk calls turn of a listing until it has found something or has ended. Only one listing
// walks at a time, and for one turn: so all lists together take at most one processor, and
// none waits for another for long.
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

// fill adds the contents of records. It cuts the page before the contents exceed
// [conf.InlineTotal], or before one that the storage no longer has.
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

// changesAfter returns the changes after a position that pass the filter. It asks the
// storage only for changes that are not among the recent ones. Behind says that the storage
// did not show any, although there are some.
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
	// A caller that sees a change here and then reads the key here must find the change.
	if err := s.feed.notBefore(ctx, resp.Position, reachTimeout); err != nil {
		return nil, false, err
	}
	return resp, behind, nil
}

// addRecent adds to resp the changes of sets that pass the filter, up to the bytes of an
// answer.
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

// addChanges adds to resp the changes that pass the filter.
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

// after returns changes that follow a position. It reads them from the replica if that has
// them, so that watches do not load a shared storage.
func (s *reads) after(ctx context.Context, st *state, p conf.Position) (conf.Batch, error) {
	if s.replica.has(st, p.Revision+1) {
		if batch, err := s.replica.local.Changes(ctx, p, watchBytes); err == nil && len(batch.Changes) > 0 {
			return batch, nil
		}
	}
	return s.storage.Changes(ctx, p, watchBytes)
}

// positionAt returns the position of the history that is served at a revision, from memory or
// else, unless memoryOnly, from the storage.
func (s *reads) positionAt(ctx context.Context, revision int64, memoryOnly bool) (at conf.Position, found bool, err error) {
	st, err := s.served.serving()
	switch {
	case err != nil:
		return conf.Position{}, false, err
	case revision == st.position.Revision:
		return st.position, true, nil
	case revision > st.position.Revision || revision < 0:
		return conf.Position{}, false, nil
	}
	if at, found = s.served.recent.at(revision); found {
		return at, true, nil
	}
	if at, found = s.served.trail.at(revision); found && at.Epoch == st.position.Epoch {
		return at, true, nil // the trail of another epoch is about to be replaced, or has been
	}
	if memoryOnly {
		return conf.Position{}, false, nil
	}
	if err := s.served.contents.turn(); err != nil {
		return conf.Position{}, false, err
	}
	defer s.served.contents.turned()
	if s.replica.has(st, revision) {
		if at, err = s.replica.local.PositionAt(ctx, revision); err == nil {
			return at, true, nil
		}
	}
	at, err = s.storage.PositionAt(ctx, revision)
	if isGone(err) || err == nil && (at.Store != st.position.Store || at.Epoch.Generation > st.position.Epoch.Generation) {
		return conf.Position{}, false, nil // or of a history that is not served yet
	}
	return at, err == nil, err
}
