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

// ParseKey reads "dataId", "group/dataId" or "namespace/group/dataId", what
// [Key.String] writes. A part may not be empty. Errors wrap [ErrInvalid].
func ParseKey(s string) (Key, error) {
	parts := strings.Split(s, "/")
	for _, part := range parts {
		if part == "" {
			return Key{}, Invalidf("key %s: a part is empty", Clip(s))
		}
	}
	var k Key
	switch len(parts) {
	case 1:
		k.DataID = parts[0]
	case 2:
		k.Group, k.DataID = parts[0], parts[1]
	case 3:
		k.Namespace, k.Group, k.DataID = parts[0], parts[1], parts[2]
	default:
		return Key{}, Invalidf("key %s: more than three parts", Clip(s))
	}
	k = k.Canonical()
	return k, k.Validate()
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

// Validate reports every part of the canonical k that breaks the grammar, in
// one error that wraps [ErrInvalid] and names each field and its rule.
func (k Key) Validate() error {
	k = k.Canonical()
	var p problems
	p.addPart("namespace", k.Namespace, MaxNamespace)
	p.addPart("group", k.Group, MaxGroup)
	p.addPart("dataId", k.DataID, MaxDataID)
	return p.err()
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

// problems gathers what is wrong with a request, so that one answer names all.
type problems []string

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }

func (p *problems) addPart(field, s string, limit int) {
	switch {
	case s == "":
		p.add("%s: is empty", field)
		return
	case len(s) > limit:
		p.add("%s: %d bytes, more than %d", field, len(s), limit)
		return
	case s == "." || s == "..":
		p.add("%s: %q is not a name", field, s)
		return
	}
	for i := range len(s) {
		if b := s[i]; !partByte[b] {
			shown := fmt.Sprintf("%q", b)
			if b >= 0x80 { // a part of a character, not the one of that number
				shown = fmt.Sprintf("0x%02x", b)
			}
			p.add("%s: byte %s at %d; allowed are A-Z a-z 0-9 . _ : -", field, shown, i)
			return
		}
	}
}

func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return Invalidf("%s", strings.Join(p, "; "))
}

// clip quotes s for a message, shortened and with nothing that could break a
// log line.
func Clip(s string) string {
	const most = 80
	if len(s) > most {
		return fmt.Sprintf("%+q...", s[:most])
	}
	return fmt.Sprintf("%+q", s)
}

// validateFilter checks the namespace, group and prefix of a request; each may be empty.
func ValidateFilter(namespace, group, prefix string) error {
	var p problems
	if namespace != "" {
		p.addPart("namespace", namespace, MaxNamespace)
	}
	if group != "" {
		p.addPart("group", group, MaxGroup)
	}
	if prefix != "" && prefix != "." && prefix != ".." { // no names, but such names begin with them
		p.addPart("prefix", prefix, MaxDataID)
	}
	if err := p.err(); err != nil {
		return err
	}
	if (Key{Namespace: namespace}).System() {
		return systemError(namespace)
	}
	return nil
}

// validatePublic checks the canonical k at a public door.
func ValidatePublic(k Key) error {
	if err := k.Validate(); err != nil {
		return err
	}
	if k.System() {
		return systemError(k.Namespace)
	}
	return nil
}

func systemError(namespace string) error {
	return Errorf(ErrDenied, `namespace: %s is the system's, as all that begin with "_" are`, Clip(namespace))
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
