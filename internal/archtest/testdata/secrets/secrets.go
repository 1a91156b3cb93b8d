// Package secrets compares secrets in every wrong way, and in some right ones.
package secrets

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"reflect"
	"slices"
	"strings"
)

type held struct {
	Name string
	Sum  string
}

type holder struct{ all []*held }

func (h *held) Hash() (sum [32]byte, ok bool) { return sha256.Sum256([]byte(h.Sum)), h.Sum != "" }

func (h *held) is(other string) bool { return h.Sum == other }

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func array(a, b *held) bool {
	one, _ := a.Hash()
	two, _ := b.Hash()
	return one == two
}

func byByte(h *held, other string) bool {
	for i, c := range []byte(h.Sum) {
		if c != other[i] {
			return false
		}
	}
	return true
}

func compare(h *held, other string) bool { return strings.Compare(other, h.Sum) == 0 }

func deep(h *held, other [32]byte) bool {
	sum, _ := h.Hash()
	return reflect.DeepEqual(sum, other)
}

func equal(h *held, other []byte) bool {
	raw := []byte(h.Sum)
	part := raw[1:]
	return bytes.Equal(part, other)
}

func find(all map[string]*held, hash [32]byte) *held { return all[string(hash[:])] }

func fold(s, other string) bool { return strings.EqualFold(hashOf(s), other) }

func inClosure(all []*held, s string) bool {
	hash := hashOf(s)
	return slices.IndexFunc(all, func(h *held) bool { return h.Name == "" || hash == h.Name }) >= 0
}

func ordered(a, b *held) int { return cmp.Compare(a.Sum, b.Sum) }

func prefix(h *held, other string) bool { return strings.HasPrefix(h.Sum, other) }

func sliced(h *held, other []byte) bool { return slices.Equal([]byte(h.Sum), other) }

func switched(h *held, other string) bool {
	switch h.Sum {
	case other:
		return true
	}
	return false
}

func whole(a, b *holder) bool { return reflect.DeepEqual(a, b) }

// Right ones: with what is public, in constant time, and what is no secret.
func right(h *held, names map[string]int) bool {
	sum, ok := h.Hash()
	known := sha256.Sum256([]byte("x"))
	return h.Sum != "" && strings.HasPrefix(h.Sum, "gd_") && ok && len(h.Sum) == len(h.Name) && names[h.Name] == 1 && h.Name == "x" &&
		subtle.ConstantTimeCompare(sum[:], known[:]) == 1
}
