package govern

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestTokenAllows: a range holds for an address in each of its forms.
func TestTokenAllows(t *testing.T) {
	token := &Token{Addresses: []string{"10.0.0.0/8", "fe80::/10"}}
	for address, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "11.0.0.1": false, "::ffff:11.0.0.1": false,
		"fe80::1": true, "fe80::1%eth0": true, "fd00::1": false,
	} {
		assert.Equal(t, want, token.Allows(netip.MustParseAddr(address)), address)
	}
	assert.True(t, (&Token{}).Allows(netip.MustParseAddr("11.0.0.1")))
	assert.False(t, token.Allows(netip.Addr{}), "the address is not known")
}

// TestSecretExpires: a secret is valid before its time, and not at it.
func TestSecretExpires(t *testing.T) {
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	s := Secret{Expires: at}
	assert.False(t, s.Expired(at.Add(-time.Nanosecond)))
	assert.True(t, s.Expired(at))
	assert.True(t, s.Expired(at.Add(time.Nanosecond)))
	assert.False(t, (&Secret{}).Expired(at))
	_, ok := (&Secret{SHA256: strings.Repeat("AB", 32)}).Hash()
	assert.False(t, ok)
}
