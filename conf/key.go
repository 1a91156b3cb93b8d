package conf

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// The names for which an empty part of a [Key] stands.
const (
	DefaultNamespace = "public"
	DefaultGroup     = "DEFAULT_GROUP"
)

// The maximum lengths of the parts of a [Key], in bytes.
const (
	MaxNamespace = 128
	MaxGroup     = 128
	MaxDataID    = 256
)

// Key names one configuration. It is comparable. Keys are compared byte for byte
// everywhere: "a" and "A" are two keys.
//
// Each part has one to [MaxNamespace], [MaxGroup] or [MaxDataID] bytes of
// A-Z a-z 0-9 . _ : - and is neither "." nor "..". An empty Namespace stands
// for [DefaultNamespace], and an empty Group for [DefaultGroup]. DataID has no
// default.
type Key struct {
	Namespace string
	Group     string
	DataID    string
}

// NewKey returns the key of dataID in group, in the default namespace. An
// empty group stands for [DefaultGroup].
func NewKey(group, dataID string) Key {
	return Key{Group: group, DataID: dataID}.Canonical()
}

// Canonical returns k with the defaults filled in.
func (k Key) Canonical() Key {
	if k.Namespace == "" {
		k.Namespace = DefaultNamespace
	}
	if k.Group == "" {
		k.Group = DefaultGroup
	}
	return k
}

// System reports whether k is in a namespace of the system, which is one that begins with
// "_". Servers refuse such keys to all callers.
func (k Key) System() bool { return strings.HasPrefix(k.Namespace, "_") }

// String returns "namespace/group/dataId" of the canonical k. No part can hold
// a slash, so two keys never share a string.
func (k Key) String() string {
	k = k.Canonical()
	return k.Namespace + "/" + k.Group + "/" + k.DataID
}

// Compare orders keys by namespace, group and data id, byte by byte. Storages scan in
// this order.
func (k Key) Compare(o Key) int {
	return cmp.Or(
		strings.Compare(k.Namespace, o.Namespace),
		strings.Compare(k.Group, o.Group),
		strings.Compare(k.DataID, o.DataID),
	)
}

// partByte says which bytes a part of a key may contain.
var partByte = func() (t [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-" {
		t[c] = true
	}
	return
}()

// partProblem describes why s cannot be a part of a key with at most limit bytes. It
// returns "" if s can be one.
func partProblem(s string, limit int) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > limit:
		return fmt.Sprintf("%d bytes, more than %d", len(s), limit)
	case s == "." || s == "..":
		return fmt.Sprintf("%q is not a name", s)
	}
	for i := range len(s) {
		if b := s[i]; !partByte[b] {
			shown := fmt.Sprintf("%q", b)
			if b >= 0x80 { // one byte of a longer character: %q would show another character
				shown = fmt.Sprintf("0x%02x", b)
			}
			return fmt.Sprintf("byte %s at %d; allowed are A-Z a-z 0-9 . _ : -", shown, i)
		}
	}
	return ""
}

// valid reports whether all parts of the canonical k follow the grammar.
func (k Key) valid() bool {
	k = k.Canonical()
	return partProblem(k.Namespace, MaxNamespace) == "" && partProblem(k.Group, MaxGroup) == "" && partProblem(k.DataID, MaxDataID) == ""
}

// Clip quotes s for a message. It cuts s after 80 bytes, and escapes everything that could
// break a log line.
func Clip(s string) string {
	const most = 80
	if len(s) > most {
		return fmt.Sprintf("%+q...", s[:most])
	}
	return fmt.Sprintf("%+q", s)
}

// KeySetHash names a set of keys; see [HashKeys].
type KeySetHash [32]byte

// HashKeys returns the name of a set of keys: the SHA-256 of a length-prefixed encoding of
// the canonical keys, sorted and without repetitions. The order and the repetitions of
// keys do not matter.
func HashKeys(keys []Key) KeySetHash {
	sorted := make([]Key, len(keys))
	for i, k := range keys {
		sorted[i] = k.Canonical()
	}
	slices.SortFunc(sorted, Key.Compare)
	h := sha256.New()
	var b []byte
	for _, k := range slices.Compact(sorted) {
		b = b[:0]
		for _, s := range [...]string{k.Namespace, k.Group, k.DataID} {
			b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
			b = append(b, s...)
		}
		h.Write(b)
	}
	return KeySetHash(h.Sum(nil))
}
