package localfile

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	diamond "github.com/linnaname/gdiamond"
)

const (
	snapshotSuffix = ".snap"
	corruptSuffix  = ".corrupt"

	// maxName leaves room for corruptSuffix in the 255 bytes that file systems allow.
	maxName = 240
)

// fileName returns the name of key's snapshot in slot. Different keys and slots
// have different names, also where the file system takes upper and lower case
// for the same; none is a device's name ("con"), begins with a dot or ends with one.
//
// The parts of the key are joined by "+". Within a part letters are lower case, "="
// stands before each letter where the case changes, at first to upper; ":" is
// written "%". A name that would be too long ends with a hash of the key instead.
func fileName(key diamond.Key, slot diamond.Slot) string {
	var b strings.Builder
	b.WriteString(slotName(slot))
	for _, part := range [...]string{key.Namespace, key.Group, key.DataID} {
		b.WriteByte('+')
		upper := false
		for _, c := range []byte(part) {
			if isUpper := 'A' <= c && c <= 'Z'; isUpper || 'a' <= c && c <= 'z' {
				if isUpper != upper {
					b.WriteByte('=')
					upper = isUpper
				}
				c |= 'a' - 'A'
			} else if c == ':' {
				c = '%'
			}
			b.WriteByte(c)
		}
	}
	name := b.String()
	if len(name)+len(snapshotSuffix) > maxName {
		hash := sha256.Sum256([]byte(name))
		tail := "~" + hex.EncodeToString(hash[:])
		name = name[:maxName-len(tail)-len(snapshotSuffix)] + tail
	}
	return name + snapshotSuffix
}

// slotName returns the written form of slot, "" for one that does not exist.
func slotName(slot diamond.Slot) string {
	switch slot {
	case diamond.SlotFetched:
		return "fetched"
	case diamond.SlotLastGood:
		return "good"
	}
	return ""
}
