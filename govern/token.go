package govern

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// MaxSecrets is the number of secrets that a token has at most: the present one, and the
// one before or after it while a service is given the new one.
const MaxSecrets = 2

// Token is the identity of a program. A token T.NAME belongs to the tenant T, whose
// administrators can change it; one without a dot is global.
type Token struct {
	Name        string `json:"-"` // parts of a-z 0-9 - joined by dots, at most 64 bytes; never used again
	Format      int64  `json:"format"`
	Description string `json:"description,omitempty"`
	// Retired says that the token has no rights any more. It stays so.
	Retired bool     `json:"retired,omitempty"`
	Secrets []Secret `json:"secrets,omitempty"` // at most [MaxSecrets]; a token without one cannot be used
	// Addresses are the ranges of addresses from which the token may be used, such as
	// 10.0.0.0/8 or fd00::/8. If there are none, it may be used from everywhere.
	Addresses []string `json:"addresses,omitempty"`
	// Generation is the generation of the epoch in which the document was last written. The
	// centre sets it. A token of before the present epoch is suspended until it is written
	// again, or [Credentials] confirm it.
	Generation int64   `json:"generation,omitempty"`
	Unknown    Unknown `json:"-"`
}

// Secret is what a token proves itself with. Only its hash is stored.
type Secret struct {
	SHA256 string `json:"sha256"` // of the whole secret, 64 lower-case hexadecimal digits
	// Expires is when the secret stops being valid. Without it the secret is valid until it is
	// removed, which nobody notices in time: give one where you can.
	Expires time.Time `json:"expires,omitempty"`
	Added   time.Time `json:"added,omitempty"`
	Unknown Unknown   `json:"-"`
}

// Hash returns SHA256 as bytes, and whether it is valid.
func (s *Secret) Hash() (sum [32]byte, ok bool) {
	if len(s.SHA256) != 64 || strings.ToLower(s.SHA256) != s.SHA256 {
		return sum, false
	}
	_, err := hex.Decode(sum[:], []byte(s.SHA256))
	return sum, err == nil
}

// Expired reports whether the secret is no longer valid at now.
func (s *Secret) Expired(now time.Time) bool { return !s.Expires.IsZero() && !now.Before(s.Expires) }

// Key implements [Document].
func (t *Token) Key() conf.Key { return KeyOf(KindToken, t.Name) }

// Principal returns the name of the token as a principal and as a subject.
func (t *Token) Principal() string { return string(SubjectToken) + ":" + t.Name }

// Allows reports whether the token may be used from address.
func (t *Token) Allows(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	for _, s := range t.Addresses {
		if r, err := netip.ParsePrefix(s); err == nil && r.Contains(address) {
			return true
		}
	}
	return len(t.Addresses) == 0
}

func (t *Token) format() *int64 { return &t.Format }

func (t *Token) validate(p *problems) {
	const mostRanges = 100
	p.text("description", plainProblem(t.Description, maxDescription))
	if len(t.Secrets) > MaxSecrets {
		p.add("secrets: %d, more than %d", len(t.Secrets), MaxSecrets)
		return // and do not compare the secrets of a list of any length
	}
	for i := range t.Secrets {
		if _, ok := t.Secrets[i].Hash(); !ok {
			p.add("secrets[%d].sha256: is not 64 lower-case hexadecimal digits", i)
		}
		for j := range i {
			if t.Secrets[j].SHA256 == t.Secrets[i].SHA256 {
				p.add("secrets[%d].sha256: stands twice", i)
			}
		}
	}
	if len(t.Addresses) > mostRanges {
		p.add("addresses: %d, more than %d", len(t.Addresses), mostRanges)
		return
	}
	for i, s := range t.Addresses {
		switch r, err := netip.ParsePrefix(s); {
		case err != nil:
			p.add("addresses[%d]: is not a range such as 10.0.0.0/8 or fd00::/8", i)
		case r.Addr().Is4In6():
			p.add("addresses[%d]: write a range of IPv4 as one", i)
		case r.Masked() != r:
			p.add("addresses[%d]: has bits behind its length; the range is %s", i, r.Masked())
		}
	}
	if t.Generation < 0 {
		p.add("generation: is negative")
	}
}

// firstExpiry returns when the first of the valid secrets of t expires, or zero if none does.
// It is not known by which of them a caller has proven itself.
func (t *Token) firstExpiry(now time.Time) (first time.Time) {
	for i := range t.Secrets {
		s := &t.Secrets[i]
		if !s.Expires.IsZero() && !s.Expired(now) && (first.IsZero() || s.Expires.Before(first)) {
			first = s.Expires
		}
	}
	return first
}
