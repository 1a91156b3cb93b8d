package engine

import (
	"encoding/hex"
	"slices"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/keysets"
)

// keySet is a set of keys that clients poll, and keySets are those that are known.
type (
	keySet  = keysets.Set[conf.KeySetHash, conf.Key, sharedAnswer]
	keySets = keysets.Table[conf.KeySetHash, conf.Key, sharedAnswer]
)

// pollAsked is what a poll asks for, checked: keys are canonical.
type pollAsked struct {
	set      conf.KeySetHash
	keys     []conf.Key // of the set, but for denied; none of both where it is taken to be known
	denied   []conf.Key // that the caller may not read; sorted, each once
	position conf.Position
	held     []conf.Held // sorted by key
}

// query is what a poll is about: a set of keys and what the caller has of it. It
// is all that a parked poll keeps of its request.
type query struct {
	set      *keySet
	position conf.Position // the caller knows all keys up to it,
	held     []heldAt      // but for these; by place
}

// heldAt is a [conf.Held] as a parked poll keeps it: the key is that at place in the set.
type heldAt struct {
	revision int64
	digest   [16]byte // of the content; zero: it holds nothing, or what no content has
	place    int32
	nothing  bool // it holds nothing
}

// emptyDigest is that of an empty content.
const emptyDigest = "d41d8cd98f00b204e9800998ecf8427e"

func (q *query) answered(st *state) *conf.PollResponse {
	a := q.set.Answer.Load()
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
	for place, key := range q.set.Keys {
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

// digestOf returns the digest that text is the written form of.
func digestOf(text string) (digest [16]byte, ok bool) {
	if len(text) != hex.EncodedLen(len(digest)) {
		return digest, false
	}
	_, err := hex.Decode(digest[:], []byte(text))
	return digest, err == nil && hex.EncodeToString(digest[:]) == text // lower case alone
}

// is reports whether h is what r says; a nil r is a key that never was.
func (h *heldAt) is(r *record) bool {
	switch {
	case r == nil || r.deleted:
		return h.nothing
	case h.revision == conf.AnyRevision:
		return h.nothing && r.MD5 == emptyDigest || h.hasDigest(r.MD5)
	}
	return h.revision == r.Revision && h.hasDigest(r.MD5)
}

func (h *heldAt) hasDigest(text string) bool {
	digest, ok := digestOf(text)
	return ok && !h.nothing && h.digest == digest
}

// plain reports whether q is told by its position alone.
func (q *query) plain() bool { return len(q.held) == 0 && !q.position.IsZero() }

// reached notes that the caller's keys are as they are at p. What it holds by
// MD5 alone stays, as a new revision with the same MD5 is no change to it.
func (q *query) reached(p conf.Position) {
	q.position = p
	q.held = slices.DeleteFunc(q.held, func(h heldAt) bool { return h.revision != conf.AnyRevision })
	if len(q.held) == 0 {
		q.held = nil
	}
}

// placesIn returns held, which is sorted, by the places of its keys in set.
func placesIn(set *keySet, held []conf.Held) ([]heldAt, error) {
	if len(held) == 0 {
		return nil, nil
	}
	at := make([]heldAt, len(held))
	place := 0
	for i := range held {
		h := &held[i]
		for place < len(set.Keys) && set.Keys[place].Compare(h.Key) < 0 {
			place++
		}
		if place == len(set.Keys) || set.Keys[place] != h.Key {
			return nil, conf.Invalidf("held: key %s is not in the set", conf.Clip(h.Key.String()))
		}
		at[i] = heldAt{revision: h.Revision, place: int32(place), nothing: h.MD5 == "" && h.Revision <= 0}
		if digest, ok := digestOf(h.MD5); ok {
			at[i].digest = digest
		}
	}
	return at, nil
}

// diff says how the keys of a query are not as the caller has them.
type diff struct {
	changed []conf.KeyState
	records []*record // of changed; nil where the key never was
	resync  bool      // it cannot be told
}

func keyState(key conf.Key, r *record) conf.KeyState {
	switch {
	case r == nil:
		return conf.KeyState{Key: key}
	case r.deleted:
		return conf.KeyState{Key: key, View: r.View}
	}
	return conf.KeyState{Key: key, Revision: r.Revision, View: r.View, MD5: r.MD5}
}

// sharedAnswer is an answer for all who wait on a set and know it up to the
// same change: it is made once, and with it whatever a transport makes of its entries.
type sharedAnswer struct {
	state        *state // which it is the answer of
	from, before int64  // right for callers at a revision of from, or above but below before
	resp         *conf.PollResponse
}
