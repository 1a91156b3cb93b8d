package conf

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/linnaname/gdiamond/internal/rawbytes"
)

// String returns c in hexadecimal.
func (c Chain) String() string { return hex.EncodeToString(c[:]) }

// Extend returns the chain after ch: the SHA-256 of a length-prefixed encoding of c and
// of every field of ch, where an Origin counts only if it is set, and the content is
// represented by its SHA-256. All storages
// and readers use this function, so that a chain means the same everywhere.
//
// The chain of a revision is the one after the last change of its set.
func (c Chain) Extend(ch *Change) Chain {
	b := make([]byte, 0, 512)
	str := func(s string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	num := func(n int64) { b = binary.BigEndian.AppendUint64(b, uint64(n)) }

	str("gdiamond chain 1")
	b = append(b, c[:]...)
	num(ch.Revision)
	num(int64(ch.Number))
	num(int64(ch.Count))
	b = append(b, byte(ch.Op))
	str(ch.Key.Namespace)
	str(ch.Key.Group)
	str(ch.Key.DataID)
	str(ch.Type)
	str(ch.MD5)
	b = append(b, ch.SHA256[:]...)
	num(ch.Size)
	num(int64(len(ch.Meta)))
	for _, k := range slices.Sorted(maps.Keys(ch.Meta)) {
		str(k)
		str(ch.Meta[k])
	}
	str(ch.Author.Name)
	str(ch.Address)
	str(ch.Comment)
	num(ch.Time.UnixMicro())
	num(ch.Epoch.Generation)
	b = append(b, ch.Epoch.ID[:]...)
	if ch.Origin != "" { // a change of before there were origins has the chain that it had
		str(ch.Origin)
	}
	return sha256.Sum256(b)
}

// Follow returns the position after changes, which must be whole sets that follow p in
// order. It fails with [ErrCorrupt] if they do not, such as if a revision or a number is
// missing, or if a content does not have its hash. The other fields are proven only by
// the chain: callers compare that of the result with the one that came with the changes.
func (p Position) Follow(changes []Change) (Position, error) {
	for i := range changes {
		ch := &changes[i]
		switch {
		case ch.Number == 0 && ch.Op == OpFork: // may leave a gap: the revisions that were lost
			if ch.Revision <= p.Revision || ch.Epoch.Generation <= p.Epoch.Generation || ch.Count != 1 {
				return p, Errorf(ErrCorrupt, "fork to generation %d at revision %d after generation %d at %d",
					ch.Epoch.Generation, ch.Revision, p.Epoch.Generation, p.Revision)
			}
			p.Epoch = ch.Epoch
		case ch.Number == 0:
			if ch.Revision != p.Revision+1 {
				return p, Errorf(ErrCorrupt, "revision %d follows %d", ch.Revision, p.Revision)
			}
		default:
			if i == 0 || ch.Revision != p.Revision || ch.Number != changes[i-1].Number+1 || ch.Count != changes[i-1].Count {
				return p, Errorf(ErrCorrupt, "change %d of revision %d is out of order", ch.Number, ch.Revision)
			}
		}
		if last := i == len(changes)-1 || changes[i+1].Number == 0; last && ch.Number != ch.Count-1 {
			return p, Errorf(ErrCorrupt, "revision %d has %d of its %d changes", ch.Revision, ch.Number+1, ch.Count)
		}
		if ch.Op == OpPublish && sha256.Sum256(rawbytes.Of(ch.Content)) != ch.SHA256 {
			return p, Errorf(ErrCorrupt, "content of revision %d does not have its hash", ch.Revision)
		}
		p.Chain = p.Chain.Extend(ch)
		p.Revision = ch.Revision
	}
	return p, nil
}
