package diamond

import (
	"encoding/hex"
	"slices"
)

// query is what a poll is about: a set of keys and what the caller has of it. It
// is all that a parked poll keeps of its request.
type query struct {
	set      *keySet
	position Position // the caller knows all keys up to it,
	held     []heldAt // but for these; by place
}

// heldAt is a [Held] as a parked poll keeps it: the key is that at place in the set.
type heldAt struct {
	revision int64
	digest   [16]byte // of the content; zero: it holds nothing, or what no content has
	place    int32
	nothing  bool // it holds nothing
}

// emptyDigest is that of an empty content.
const emptyDigest = "d41d8cd98f00b204e9800998ecf8427e"

// query checks what a poll asks for. Its set is nil where the server does not
// know it, else it must be released.
func (s *server) query(req *PollRequest, source string) (*query, error) {
	if n := max(len(req.Keys), len(req.Held)); n > MaxPollKeys {
		return nil, Errorf(ErrTooLarge, "keys: %d, more than %d", n, MaxPollKeys)
	}
	keys, denied, err := readable(req)
	if err != nil {
		return nil, err
	}
	held, err := sortedHeld(req.Held)
	if err != nil {
		return nil, err
	}
	q := &query{position: req.Position}
	if q.set, err = s.keySets.acquire(req.Set, keys, denied, source); err != nil || q.set == nil {
		return q, err
	}
	if len(q.set.denied) > 0 {
		held = slices.DeleteFunc(held, func(h Held) bool { return q.set.denies(h.Key) })
	}
	if q.held, err = q.set.places(held); err != nil {
		s.keySets.release(q.set)
		return nil, err
	}
	return q, nil
}

// readable returns the canonical keys of a poll, having checked them, and apart from
// them those that the caller may not read.
func readable(req *PollRequest) (keys []Key, denied []Denial, err error) {
	if len(req.Keys) == 0 {
		return nil, nil, nil
	}
	all := make([]Key, len(req.Keys))
	for i, k := range req.Keys {
		all[i] = k.Canonical()
		if err := all[i].Validate(); err != nil {
			return nil, nil, err
		}
	}
	if HashKeys(all) != req.Set {
		return nil, nil, invalidf("set: is not the hash of the keys")
	}
	keys = slices.DeleteFunc(all, func(k Key) bool {
		if k.System() {
			denied = append(denied, Denial{Key: k, Detail: systemDetail(k.Namespace)})
		}
		return k.System()
	})
	slices.SortFunc(denied, func(a, b Denial) int { return a.Key.Compare(b.Key) })
	return keys, slices.Compact(denied), nil
}

func sortedHeld(held []Held) ([]Held, error) {
	if len(held) == 0 {
		return nil, nil
	}
	sorted := slices.Clone(held)
	for i := range sorted {
		h := &sorted[i]
		h.Key = h.Key.Canonical()
		if h.Revision < AnyRevision {
			return nil, invalidf("held: revision %d of key %s", h.Revision, clip(h.Key.String()))
		}
	}
	slices.SortFunc(sorted, func(a, b Held) int { return a.Key.Compare(b.Key) })
	for i := range sorted[1:] {
		if sorted[i].Key == sorted[i+1].Key {
			return nil, invalidf("held: key %s appears more than once", clip(sorted[i].Key.String()))
		}
	}
	return sorted, nil
}

// places returns held, which is sorted, by the places of its keys in set.
func (set *keySet) places(held []Held) ([]heldAt, error) {
	if len(held) == 0 {
		return nil, nil
	}
	at := make([]heldAt, len(held))
	place := 0
	for i := range held {
		h := &held[i]
		for place < len(set.keys) && set.keys[place].Compare(h.Key) < 0 {
			place++
		}
		if place == len(set.keys) || set.keys[place] != h.Key {
			return nil, invalidf("held: key %s is not in the set", clip(h.Key.String()))
		}
		at[i] = heldAt{revision: h.Revision, place: int32(place), nothing: h.MD5 == "" && h.Revision <= 0}
		if digest, ok := digestOf(h.MD5); ok {
			at[i].digest = digest
		}
	}
	return at, nil
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
	case h.revision == AnyRevision:
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
func (q *query) reached(p Position) {
	q.position = p
	q.held = slices.DeleteFunc(q.held, func(h heldAt) bool { return h.revision != AnyRevision })
	if len(q.held) == 0 {
		q.held = nil
	}
}
