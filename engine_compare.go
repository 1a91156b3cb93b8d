package diamond

import (
	"context"
	"math"
	"time"
)

// diff says how the keys of a query are not as the caller has them.
type diff struct {
	changed []KeyState
	records []*record // of changed; nil where the key never was
	resync  bool      // it cannot be told
}

// sharedAnswer is an answer for all who wait on a set and know it up to the
// same change: it is made once, and with it whatever a transport makes of its entries.
type sharedAnswer struct {
	state        *state // which it is the answer of
	from, before int64  // right for callers at a revision of from, or above but below before
	resp         *PollResponse
}

// compare returns the answer to q, nil where nothing is to say: q then knows
// all its keys up to the present position.
func (s *server) compare(ctx context.Context, q *query) (*PollResponse, error) {
	st := s.state.Load()
	if resp := q.answered(st); resp != nil {
		return resp, nil
	}
	var d diff
	st = s.lookupAll(st, func(st *state) (ok bool) {
		d, ok = q.differ(st)
		return ok
	})
	switch {
	case st == nil:
		return nil, unavailable("not ready: the index is not loaded")
	case d.resync:
		return &PollResponse{Resync: true, Position: st.position}, nil
	case len(d.changed) == 0:
		q.reached(st.position)
		return nil, nil
	}
	resp := &PollResponse{Position: st.position, Changed: d.changed}
	oldest, newest := int64(math.MaxInt64), int64(0)
	for _, r := range d.records {
		if r != nil {
			oldest, newest = min(oldest, r.Revision), max(newest, r.Revision)
		}
	}
	if newest > st.since {
		resp.Applied = st.applied
	}
	s.inline(ctx, &d)
	if q.plain() && ctx.Err() == nil && s.keySets.shared(q.set) {
		q.set.answer.Store(&sharedAnswer{st, q.position.Revision, oldest, resp})
	}
	return resp, nil
}

func (q *query) answered(st *state) *PollResponse {
	a := q.set.answer.Load()
	if a == nil || st == nil || a.state != st || !q.plain() || q.position.Epoch != st.position.Epoch ||
		q.position.Revision < a.from || q.position.Revision >= a.before {
		return nil
	}
	return a.resp
}

// differ compares q with st. It is not ok where the index is ahead of st in a key.
func (q *query) differ(st *state) (d diff, ok bool) {
	if !q.position.IsZero() && (q.position.Epoch != st.position.Epoch || q.position.Revision < st.floor) {
		return diff{resync: true}, true
	}
	held := q.held
	for place, key := range q.set.keys {
		r, ok := st.pick(st.index.get(key))
		if !ok {
			return diff{}, false
		}
		switch {
		case len(held) > 0 && held[0].place == int32(place):
			same := held[0].is(r)
			held = held[1:]
			if same {
				continue
			}
		case q.position.IsZero():
			if r == nil || r.deleted {
				continue
			}
		case r == nil || r.Revision <= q.position.Revision:
			continue
		}
		d.changed = append(d.changed, keyState(key, r))
		d.records = append(d.records, r)
	}
	return d, true
}

func keyState(key Key, r *record) KeyState {
	switch {
	case r == nil:
		return KeyState{Key: key}
	case r.deleted:
		return KeyState{Key: key, View: r.View}
	}
	return KeyState{Key: key, Revision: r.Revision, View: r.View, MD5: r.MD5}
}

// inlineTime is how long the contents that an answer carries may take to be
// loaded, all together. It is below what any client waits for an answer.
const inlineTime = 500 * time.Millisecond

// inline adds the entries that an answer carries. One whose content cannot be
// had in time is only named: the caller fetches it.
func (s *server) inline(ctx context.Context, d *diff) {
	ctx, cancel := context.WithTimeout(ctx, inlineTime)
	defer cancel()
	room := int64(InlineTotal)
	for i, r := range d.records {
		if r == nil || r.deleted || r.Size > InlineContent || r.Size > room {
			continue
		}
		if e, err := s.contents.get(ctx, r); err == nil {
			d.changed[i].Entry = e
			room -= r.Size
		}
	}
}
