package diamond

import (
	"context"
	"errors"

	"github.com/linnaname/gdiamond/internal/seeded"
)

// defaultPage is how many entries or changes a page holds unless the request says.
const defaultPage = 100

// Fetch implements [Transport].
func (s *server) Fetch(ctx context.Context, req *FetchRequest) (*FetchResponse, error) {
	key := req.Key.Canonical()
	resp, err := s.fetch(ctx, key, req)
	if err != nil {
		return nil, answerError(ctx, "fetch", key, err)
	}
	return resp, nil
}

func (s *server) fetch(ctx context.Context, key Key, req *FetchRequest) (*FetchResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := validatePublic(key); err != nil {
		return nil, err
	}
	if req.Revision < 0 {
		return nil, invalidf("revision: negative")
	}
	if seeded.Cold404 && s.state.Load() == nil {
		return &FetchResponse{}, nil
	}
	if err := s.notBeforeSeen(ctx, req.After, reachTimeout); err != nil {
		return nil, err
	}
	if req.Revision > 0 {
		return s.version(ctx, key, req.Revision)
	}
	return s.present(ctx, key)
}

// present returns the state of key as of the server's position.
func (s *server) present(ctx context.Context, key Key) (*FetchResponse, error) {
	for {
		st, err := s.serving()
		if err != nil {
			return nil, err
		}
		st, r := s.lookup(st, key)
		resp := &FetchResponse{Position: st.position, Stale: s.stale()}
		if r == nil || r.deleted {
			return resp, nil
		}
		full, err := s.contents.get(ctx, r)
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
func (s *server) overtaken(ctx context.Context, key Key, r *record) error {
	s.wake()
	waiting, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	err := s.await(waiting, func(st *state) bool { return st.index.get(key) != r })
	if err != nil && ctx.Err() == nil && waiting.Err() != nil {
		return unavailable("the storage does not have revision %d, which its changes name", r.Revision)
	}
	return err
}

// version returns the value of key that was published at exactly revision.
func (s *server) version(ctx context.Context, key Key, revision int64) (*FetchResponse, error) {
	st, err := s.serving()
	if err != nil {
		return nil, err
	}
	resp := &FetchResponse{Found: true, Position: st.position, Stale: s.stale()}
	resp.Entry, err = s.entry(ctx, st, key, revision)
	return resp, err
}

// entry returns the value of key published at revision: the present one as
// reads of it get it, others from the copy on disk or the storage.
func (s *server) entry(ctx context.Context, st *state, key Key, revision int64) (Entry, error) {
	if _, r := s.lookup(st, key); r != nil && !r.deleted && r.Revision == revision {
		full, err := s.contents.get(ctx, r)
		if err != nil {
			return Entry{}, err
		}
		return *full, nil
	}
	if err := s.contents.turn(); err != nil {
		return Entry{}, err
	}
	defer s.contents.turned()
	if s.replica.has(st, revision) {
		if e, err := s.replica.read(ctx, key, revision); err == nil {
			return e, nil
		}
	}
	return s.storage.Read(ctx, key, revision)
}

// History implements [Transport].
func (s *server) History(ctx context.Context, req *HistoryRequest) (*HistoryResponse, error) {
	key := req.Key.Canonical()
	changes, err := s.history(ctx, key, req)
	if err != nil {
		return nil, answerError(ctx, "history", key, err)
	}
	return &HistoryResponse{Changes: changes}, nil
}

func (s *server) history(ctx context.Context, key Key, req *HistoryRequest) ([]Change, error) {
	if _, err := s.serving(); err != nil {
		return nil, err
	}
	if err := validatePublic(key); err != nil {
		return nil, err
	}
	if req.Before < 0 {
		return nil, invalidf("before: negative")
	}
	limit, err := pageLimit(req.Limit)
	if err != nil {
		return nil, err
	}
	return s.changesOf(ctx, key, req.Before, limit)
}

// changesOf returns the changes of key from the storage, or from the replica where
// the storage cannot be reached.
func (s *server) changesOf(ctx context.Context, key Key, before int64, limit int) ([]Change, error) {
	st := s.state.Load()
	copied := st != nil && s.replica.has(st, 0)
	if copied && s.stale() > 0 { // not even to find out again, which may take long
		if changes, err := s.replica.local.History(ctx, key, before, limit); err == nil {
			return changes, nil
		}
	}
	changes, err := s.storage.History(ctx, key, before, limit)
	if copied && errors.Is(err, ErrUnavailable) {
		if changes, err := s.replica.local.History(ctx, key, before, limit); err == nil {
			return changes, nil
		}
	}
	return changes, err
}

func pageLimit(limit int) (int, error) {
	switch {
	case limit < 0:
		return 0, invalidf("limit: negative")
	case limit == 0:
		return defaultPage, nil
	}
	return min(limit, MaxPage), nil
}
