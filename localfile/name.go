package localfile

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

const (
	snapshotSuffix = ".snap"
	corruptSuffix  = ".corrupt"

	// maxName leaves room for corruptSuffix in the 255 bytes that file systems allow.
	maxName = 240
)

// fileName returns the name of key's snapshot in slot. Different keys and slots have
// different names, even on a file system that ignores case. No name is that of a device
// ("con"), or begins or ends with a dot.
//
// The parts of the key are joined by "+". Within a part letters are lower case, and "="
// precedes each letter at which the case changes, starting from lower case; ":" is written
// "%". A name that would be too long ends with a hash of the key instead.
func fileName(key conf.Key, slot conf.Slot) string {
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

// slotName returns the name of slot, or "" if there is no such slot.
func slotName(slot conf.Slot) string {
	switch slot {
	case conf.SlotFetched:
		return "fetched"
	case conf.SlotLastGood:
		return "good"
	}
	return ""
}
