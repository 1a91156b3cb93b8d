package conf

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
)

// StoreID identifies a store. It is random, is made with the store, and never changes. The
// replicas, backups and snapshots of a store have the same id.
type StoreID [16]byte

// String returns id in hexadecimal.
func (id StoreID) String() string { return hex.EncodeToString(id[:]) }

// Epoch identifies one unbroken history of a store. A new epoch begins only when history
// was lost (see the method Fork of diamond.Storage). It has a higher generation and a new
// random id.
type Epoch struct {
	Generation int64
	ID         [16]byte
}

// Chain is a SHA-256 over all changes up to a revision; see [Chain.Extend]. The chain of
// revision 0 is zero.
type Chain [32]byte

// Position is a point in the history of a store. It stands for all changes up to Revision,
// and Chain proves which changes those are. The zero Position is the start of any history.
// Positions are comparable. Their written form is opaque.
type Position struct {
	Store    StoreID
	Epoch    Epoch
	Revision int64
	Chain    Chain
}

// IsZero reports whether p is the zero Position, the start of the history of any store.
func (p Position) IsZero() bool { return p == Position{} }

// Compare orders positions of one store by generation, then revision.
func (p Position) Compare(o Position) int {
	return cmp.Or(
		cmp.Compare(p.Epoch.Generation, o.Epoch.Generation),
		cmp.Compare(p.Revision, o.Revision),
	)
}

const positionSize = 16 + 8 + 16 + 8 + 32

// String returns the written form of p, which is 107 bytes of base64url, or "" for the
// zero Position.
func (p Position) String() string {
	if p.IsZero() {
		return ""
	}
	b := make([]byte, 0, positionSize)
	b = append(b, p.Store[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Epoch.Generation))
	b = append(b, p.Epoch.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Revision))
	b = append(b, p.Chain[:]...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParsePosition reads what [Position.String] wrote. Errors wrap [ErrInvalid].
func ParsePosition(s string) (Position, error) {
	var p Position
	if s == "" {
		return p, nil
	}
	if len(s) != base64.RawURLEncoding.EncodedLen(positionSize) {
		return p, Invalidf("position: %d bytes long, not %d", len(s), base64.RawURLEncoding.EncodedLen(positionSize))
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != positionSize { // shorter if s has line breaks, which the decoder skips
		return p, Invalidf("position: not base64url")
	}
	copy(p.Store[:], b)
	p.Epoch.Generation = int64(binary.BigEndian.Uint64(b[16:]))
	copy(p.Epoch.ID[:], b[24:])
	p.Revision = int64(binary.BigEndian.Uint64(b[40:]))
	copy(p.Chain[:], b[48:])
	if p.Epoch.Generation < 0 || p.Revision < 0 {
		return Position{}, Invalidf("position: negative")
	}
	return p, nil
}

// MarshalText implements [encoding.TextMarshaler] with [Position.String].
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] with [ParsePosition].
func (p *Position) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePosition(string(b))
	return err
}
