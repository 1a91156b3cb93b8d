package engine

import (
	"slices"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/keysets"
)

// keySet is a set of keys that clients poll. keySets holds the sets that the server knows.
type (
	keySet  = keysets.Set[keySetName, conf.Key, sharedAnswer]
	keySets = keysets.Table[keySetName, conf.Key, sharedAnswer]
)

// keySetName names a set. The doors have separate sets: what was polled at the inner door is
// not known at the public one.
type keySetName struct {
	hash   conf.KeySetHash
	system bool // it was sent to the inner door
}

// sharedAnswer is an answer for all callers that wait on a set and know it up to the same
// change. It is made only once, and a transport encodes its entries only once.
type sharedAnswer struct {
	state        *state // that the answer was made from
	from, before int64  // it answers callers at a revision of at least from and below before
	resp         *conf.PollResponse
}

// hasKey reports whether set has the canonical key.
func hasKey(set *keySet, key conf.Key) bool {
	_, found := slices.BinarySearchFunc(set.Keys, key, conf.Key.Compare)
	return found
}

// hasNamespace reports whether set has a key of the canonical namespace.
func hasNamespace(set *keySet, namespace string) bool {
	i := placeOf(set, namespace)
	return i < len(set.Keys) && set.Keys[i].Namespace == namespace
}

// keysWithin returns how many keys of the canonical namespace set has.
func keysWithin(set *keySet, namespace string) int {
	return placeOf(set, namespace+"\x00") - placeOf(set, namespace)
}

// placeOf returns the place of the first key in set whose namespace is not before namespace.
func placeOf(set *keySet, namespace string) int {
	i, _ := slices.BinarySearchFunc(set.Keys, conf.Key{Namespace: namespace}, conf.Key.Compare)
	return i
}
