package engine

import (
	"encoding/hex"
	"slices"

	"github.com/linnaname/gdiamond/conf"
)

// pollAsked is a poll request that was checked. Its keys are canonical.
type pollAsked struct {
	set      keySetName
	keys     []conf.Key // of the set, other than denied; both are empty if the server should know the set
	denied   []conf.Key // that the caller may not read; sorted, each once
	position conf.Position
	held     []conf.Held // sorted by key
	client   *conf.ClientInfo
}

// query is a set of keys and what the caller knows of them. It is all that a parked poll
// keeps of its request.
type query struct {
	set      *keySet
	position conf.Position // up to which the caller knows all keys other than those in held
	held     []heldAt      // sorted by place
	client   *client       // who polls; nil if the table of clients does not have it
	system   bool          // it came by the inner door
}

// heldAt is a [conf.Held] as a parked poll keeps it: the key is that at place in the set.
type heldAt struct {
	revision int64
	digest   [16]byte // of the content, or zero if the caller has none, or an MD5 that no content has
	place    int32
	nothing  bool // the caller has no content
}

// emptyDigest is that of an empty content.
const emptyDigest = "d41d8cd98f00b204e9800998ecf8427e"

// answered returns the shared answer of the set if it is the answer to q, or nil.
func (q *query) answered(st *state) *conf.PollResponse {
	a := q.set.Answer.Load()
	if a == nil || st == nil || a.state != st || !q.plain() || q.position.Epoch != st.position.Epoch ||
		q.position.Revision < a.from || q.position.Revision >= a.before {
		return nil
	}
	return a.resp
}

// differ compares q with st. Ok is false if the index is ahead of st for a key.
func (q *query) differ(st *state) (d diff, ok bool) {
	// Below the floor, the tombstones of deletions after the position may have been dropped.
	// In another epoch, revisions stand for other changes.
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
		case r == nil || !isAfter(r, q.position):
			continue
		}
		d.changed = append(d.changed, keyState(key, r))
		d.records = append(d.records, r)
	}
	return d, true
}

// digestOf parses the written form of a digest.
func digestOf(text string) (digest [16]byte, ok bool) {
	if len(text) != hex.EncodedLen(len(digest)) {
		return digest, false
	}
	_, err := hex.Decode(digest[:], []byte(text))
	return digest, err == nil && hex.EncodeToString(digest[:]) == text // only lower case
}

// is reports whether h is the value of r. A nil r means that the key never existed.
func (h *heldAt) is(r *record) bool {
	switch {
	case r == nil || r.deleted:
		return h.nothing
	case h.revision == conf.AnyRevision:
		return h.nothing && r.MD5 == emptyDigest || h.hasDigest(r.MD5) // see [conf.AnyRevision]
	}
	return h.revision == r.Revision && h.hasDigest(r.MD5)
}

func (h *heldAt) hasDigest(text string) bool {
	digest, ok := digestOf(text)
	return ok && !h.nothing && h.digest == digest
}

// plain reports whether the position alone says what the caller knows.
func (q *query) plain() bool { return len(q.held) == 0 && !q.position.IsZero() }

// reached records that the caller knows all keys up to p. Keys that are compared by MD5 alone
// stay in held, because a new revision with the same MD5 is not a change to their caller.
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

// diff lists the keys of a query whose state is not the one that the caller has.
type diff struct {
	changed []conf.KeyState
	records []*record // of changed; nil for a key that never existed
	resync  bool      // the query cannot be compared, because its position is too old or of another epoch
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
