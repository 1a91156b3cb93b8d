package govern

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"sync/atomic"

	"github.com/linnaname/gdiamond/conf"
)

const (
	macSize = 16 // bytes of each of the two codes in a sealed position
	// sealsKept is the number of sealed positions that are remembered, a power of two. Nearly
	// all answers have one of the newest positions, and nearly all requests name one.
	sealsKept = 64
)

// sealer makes the positions that callers see, and recognises them. A sealed position has in
// its chain's place two codes under the store's secret: the first is of the chain, the second
// proves the first. So a caller cannot test a guess at somebody else's value against the
// chain, and a position that was made up, or that was given before the store was governed, is
// told from one of history that was lost.
//
// All servers of a store seal alike, so clients can compare sealed positions. The nil sealer
// is that of an open store: it changes nothing. It is safe for concurrent use.
type sealer struct {
	key  []byte
	kept [sealsKept]atomic.Pointer[seal]
}

// seal is a position and its sealed form.
type seal struct {
	plain, sealed conf.Position
}

// newSealer returns the sealer of a store with that secret, or nil if there is none.
func newSealer(secret []byte) *sealer {
	if len(secret) == 0 {
		return nil
	}
	return &sealer{key: secret}
}

// of returns the sealer of a governed store with a secret. Without one that can be read it
// returns s, or if that is nil, a sealer of this process alone: no caller gets a chain.
func (s *sealer) of(secret *StoreSecret) *sealer {
	switch {
	case secret == nil && s != nil, s != nil && string(s.key) == string(secret.Positions):
		return s
	case secret == nil:
		key := make([]byte, sha256.Size)
		_, _ = rand.Read(key) // it never fails
		return newSealer(key)
	}
	return newSealer(secret.Positions)
}

// seal returns the sealed form of p. The zero position stays as it is.
func (s *sealer) seal(p conf.Position) conf.Position {
	if s == nil || p.IsZero() {
		return p
	}
	place := &s.kept[p.Revision&(sealsKept-1)]
	if have := place.Load(); have != nil && have.plain == p {
		return have.sealed
	}
	m := s.ofChain(p, p.Chain)
	t := s.ofCode(p, m)
	sealed := p
	copy(sealed.Chain[:macSize], m[:])
	copy(sealed.Chain[macSize:], t[:])
	place.Store(&seal{p, sealed})
	return sealed
}

// recall returns the plain form of a sealed position that was made lately.
func (s *sealer) recall(p conf.Position) (plain conf.Position, ok bool) {
	have := s.kept[p.Revision&(sealsKept-1)].Load()
	if have == nil {
		return conf.Position{}, false
	}
	// Everything but the codes is known to the caller.
	named, same := p, subtle.ConstantTimeCompare(have.sealed.Chain[:], p.Chain[:]) == 1
	named.Chain = have.sealed.Chain
	return have.plain, same && named == have.sealed
}

// proven reports whether a server of this store sealed p.
func (s *sealer) proven(p conf.Position) bool {
	t := s.ofCode(p, [macSize]byte(p.Chain[:macSize]))
	return subtle.ConstantTimeCompare(t[:], p.Chain[macSize:]) == 1
}

// isOf reports whether chain is that of p, which is proven.
func (s *sealer) isOf(p conf.Position, chain conf.Chain) bool {
	m := s.ofChain(p, chain)
	return subtle.ConstantTimeCompare(m[:], p.Chain[:macSize]) == 1
}

// ofChain returns the first code of p, if its chain is chain.
func (s *sealer) ofChain(p conf.Position, chain conf.Chain) [macSize]byte {
	return s.code('m', p, chain[:])
}

// ofCode returns the second code of p, if its first is m.
func (s *sealer) ofCode(p conf.Position, m [macSize]byte) [macSize]byte {
	return s.code('t', p, m[:])
}

func (s *sealer) code(kind byte, p conf.Position, rest []byte) [macSize]byte {
	b := make([]byte, 0, 1+16+8+16+8+len(conf.Chain{}))
	b = append(b, kind)
	b = append(b, p.Store[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Epoch.Generation))
	b = append(b, p.Epoch.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Revision))
	b = append(b, rest...)
	h := hmac.New(sha256.New, s.key)
	h.Write(b)
	return [macSize]byte(h.Sum(nil))
}

// sameHash reports whether a and b, of which one is that of a secret, are equal. It takes the
// same time whether or not they are.
func sameHash(a, b [sha256.Size]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }
