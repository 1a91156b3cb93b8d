package conf

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Names that a zero part of a [Key] stands for.
const (
	DefaultNamespace = "public"
	DefaultGroup     = "DEFAULT_GROUP"
)

// Lengths of the parts of a [Key], in bytes.
const (
	MaxNamespace = 128
	MaxGroup     = 128
	MaxDataID    = 256
)

// Key names one configuration. It is comparable, and compared byte for byte
// everywhere: "a" and "A" are two keys.
//
// Each part is one to [MaxNamespace], [MaxGroup] or [MaxDataID] bytes of
// A-Z a-z 0-9 . _ : - and is neither "." nor "..". A zero Namespace stands
// for [DefaultNamespace], a zero Group for [DefaultGroup]; DataID has no
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

// System reports whether k is in a namespace of the system's, one that begins
// with "_". Servers refuse those at every public door.
func (k Key) System() bool { return strings.HasPrefix(k.Namespace, "_") }

// String returns "namespace/group/dataId" of the canonical k. No part can hold
// a slash, so two keys never share a string.
func (k Key) String() string {
	k = k.Canonical()
	return k.Namespace + "/" + k.Group + "/" + k.DataID
}

// Compare orders keys by namespace, group and data id, bytewise: the order in
// which storages scan.
func (k Key) Compare(o Key) int {
	return cmp.Or(
		strings.Compare(k.Namespace, o.Namespace),
		strings.Compare(k.Group, o.Group),
		strings.Compare(k.DataID, o.DataID),
	)
}

// partByte tells which bytes a part of a key may hold.
var partByte = func() (t [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-" {
		t[c] = true
	}
	return
}()

// partProblem returns what is wrong with s as a part of a key of at most limit bytes, or
// "" if it is a good one.
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
			if b >= 0x80 { // a part of a character, not the one of that number
				shown = fmt.Sprintf("0x%02x", b)
			}
			return fmt.Sprintf("byte %s at %d; allowed are A-Z a-z 0-9 . _ : -", shown, i)
		}
	}
	return ""
}

// valid reports whether the canonical k has good parts.
func (k Key) valid() bool {
	k = k.Canonical()
	return partProblem(k.Namespace, MaxNamespace) == "" && partProblem(k.Group, MaxGroup) == "" && partProblem(k.DataID, MaxDataID) == ""
}

// Clip quotes s for a message, shortened and with nothing that could break a
// log line.
func Clip(s string) string {
	const most = 80
	if len(s) > most {
		return fmt.Sprintf("%+q...", s[:most])
	}
	return fmt.Sprintf("%+q", s)
}

// KeySetHash names a set of keys; see [HashKeys].
type KeySetHash [32]byte

// HashKeys returns the name of a set of keys: SHA-256 over a length-prefixed
// encoding of the canonical keys, sorted, each once. Order and repetition in
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
