package cluster

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"io"
)

// mac is an HMAC-SHA256. It cannot be compared with ==; equal compares in constant time.
type mac struct {
	_     [0]func()
	array [sha256.Size]byte
}

func (m mac) equal(o mac) bool { return hmac.Equal(m.array[:], o.array[:]) }

func (m mac) String() string { return base64.RawURLEncoding.EncodeToString(m.array[:]) }

func parseMAC(s string) (m mac, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(m.array) || len(s) != base64.RawURLEncoding.EncodedLen(len(b)) {
		return mac{}, false
	}
	copy(m.array[:], b)
	return m, true
}

// summer computes the MAC of parts under one secret.
type summer func(parts ...string) mac

func newSummer(secret string) summer {
	key := []byte(secret)
	return func(parts ...string) (m mac) {
		h := hmac.New(sha256.New, key)
		for _, part := range parts {
			// Lengths make the input unique for each list of parts.
			var length [8]byte
			binary.BigEndian.PutUint64(length[:], uint64(len(part)))
			_, _ = h.Write(length[:]) // a hash never fails
			_, _ = io.WriteString(h, part)
		}
		h.Sum(m.array[:0])
		return m
	}
}
