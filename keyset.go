package diamond

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

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
