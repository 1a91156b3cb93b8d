package diamond

import (
	"context"
	"strings"

	"github.com/linnaname/gdiamond/internal/sortedlist"
)

// listTurn is how many keys one list looks at before others have their turn.
const listTurn = 10_000

// List implements [Transport].
func (s *server) List(ctx context.Context, req *ListRequest) (*ListResponse, error) {
	resp, err := s.list(ctx, req)
	if err != nil {
		return nil, answerError(ctx, "list", Key{}, err)
	}
	return resp, nil
}

func (s *server) list(ctx context.Context, req *ListRequest) (*ListResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if _, err := s.serving(); err != nil {
		return nil, err
	}
	scan := ScanRequest{Namespace: req.Namespace, Group: req.Group, Prefix: req.Prefix}
	if scan.Namespace == "" {
		scan.Namespace = DefaultNamespace
	}
	var err error
	if scan.Limit, err = pageLimit(req.Limit); err != nil {
		return nil, err
	}
	if err := validateFilter(scan.Namespace, scan.Group, scan.Prefix); err != nil {
		return nil, err
	}
	if req.After != (Key{}) {
		scan.After = req.After.Canonical()
		if err := scan.After.Validate(); err != nil {
			return nil, err
		}
	}
	for {
		st, err := s.serving()
		if err != nil {
			return nil, err
		}
		l, ok, err := s.listAsOf(ctx, st, scan)
		if err != nil {
			return nil, err
		}
		if !ok {
			s.stable(func(*state) {}) // a batch is being applied, or has been
			continue
		}
		resp := &ListResponse{Position: st.position, Stale: s.stale(), More: l.more}
		for _, r := range l.found {
			resp.Entries = append(resp.Entries, r.Entry)
		}
		if req.Contents {
			err = s.fill(ctx, resp, l.found)
		}
		return resp, err
	}
}

// listAsOf returns what a page has as of st. It is not ok where that cannot be told
// any more: the first key has changed since, or tombstones may have gone that say
// that a key had a value.
func (s *server) listAsOf(ctx context.Context, st *state, scan ScanRequest) (l *listing, ok bool, err error) {
	l = &listing{scan: scan, st: st, cells: st.index.order.Snapshot(), at: scan.After}
	if scan.After != (Key{}) {
		l.at = following(scan.After)
	}
	if err := s.walk(ctx, l); err != nil {
		return nil, false, err
	}
	now := s.state.Load()
	return l, !l.overtaken && (now == nil || now.floor <= st.position.Revision), nil
}

// walk has a listing walk until it has something or has seen all. One walks at a
// time, and in turns: whatever is asked for, lists take one processor at most, and
// none waits for long for another.
func (s *server) walk(ctx context.Context, l *listing) error {
	for done := false; !done; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s.listing <- struct{}{}:
		}
		done = l.turn() || len(l.found) > 0 || l.overtaken
		<-s.listing
	}
	return nil
}

// listing is a walk along the keys of a state, which takes no lock.
type listing struct {
	scan  ScanRequest
	st    *state
	cells sortedlist.Snapshot[*cell]

	at        Key       // where it goes on
	found     []*record // exactly as they are in st
	more      bool      // there may be more after the last of found
	overtaken bool      // the first that there is has changed since
}

// turn walks on for a while, and reports whether it has ended. A page ends with
// its turn, where it has something, and before a key that has changed since.
func (l *listing) turn() (ended bool) {
	for looked := 0; ; {
		at, ok := nextIn(&l.scan, l.at)
		if !ok {
			return true
		}
		l.at = at
		jump := false
		for place := range l.cells.From(func(p *cell) bool { return p.Load().Key.Compare(at) < 0 }) {
			r := place.Load()
			if looked++; looked > listTurn {
				l.at, l.more = r.Key, len(l.found) > 0
				return false
			}
			if next, ok := nextIn(&l.scan, r.Key); !ok || next != r.Key {
				l.at, jump = r.Key, true // to what the filter leaves, if there is more
				break
			}
			picked, ok := l.st.pick(r)
			switch {
			case !ok:
				l.more, l.overtaken = len(l.found) > 0, len(l.found) == 0
				return true
			case picked.deleted:
			case len(l.found) == l.scan.Limit:
				l.more = true
				return true
			default:
				l.found = append(l.found, picked)
			}
		}
		if !jump {
			return true
		}
	}
}

// nextIn returns the first key from k on that the filter of r could leave, which is k
// where it does, and whether there is any.
func nextIn(r *ScanRequest, k Key) (Key, bool) {
	switch {
	case k.Namespace < r.Namespace, k.Namespace == r.Namespace && k.Group < r.Group:
		return Key{Namespace: r.Namespace, Group: r.Group, DataID: r.Prefix}, true
	case k.Namespace > r.Namespace, r.Group != "" && k.Group > r.Group:
		return Key{}, false
	case strings.HasPrefix(k.DataID, r.Prefix):
		return k, true
	case k.DataID < r.Prefix:
		return Key{Namespace: k.Namespace, Group: k.Group, DataID: r.Prefix}, true
	case r.Group != "":
		return Key{}, false
	}
	return Key{Namespace: k.Namespace, Group: k.Group + "\x00"}, true // the next group
}

// following returns the first key that could follow k.
func following(k Key) Key {
	k.DataID += "\x00"
	return k
}

// fill adds the contents of records, and cuts the page before they get too many,
// or where one went while the page was being read.
func (s *server) fill(ctx context.Context, resp *ListResponse, records []*record) error {
	var total int64
	for i, r := range records {
		if total += r.Size; i > 0 && total > InlineTotal {
			resp.Entries, resp.More = resp.Entries[:i], true
			return nil
		}
		full, err := s.contents.get(ctx, r)
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
