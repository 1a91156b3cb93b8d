package server

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The address of a client is that of the peer, or behind trusted proxies the last one in the
// header that is not one of theirs. What a client writes into the header itself, and every
// other header, counts for nothing.
func TestForwarded(t *testing.T) {
	const peer = "127.0.0.1:4711"
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	second, six := netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("2001:db8::/64")
	for _, c := range []struct {
		trusted []netip.Prefix
		header  []string
		want    string // "" for that of the peer
	}{
		{nil, []string{"198.51.100.7"}, ""},
		{[]netip.Prefix{second}, []string{"198.51.100.7"}, ""},
		{[]netip.Prefix{loopback}, nil, ""},
		{[]netip.Prefix{loopback}, []string{"198.51.100.7"}, "198.51.100.7:0"},
		{[]netip.Prefix{loopback}, []string{"127.0.0.1, 198.51.100.7"}, "198.51.100.7:0"},
		{[]netip.Prefix{loopback}, []string{"203.0.113.1, 198.51.100.7"}, "198.51.100.7:0"},
		{[]netip.Prefix{loopback}, []string{"198.51.100.7, 10.0.0.5"}, "10.0.0.5:0"},
		{[]netip.Prefix{loopback, second}, []string{"203.0.113.1, 198.51.100.7, 10.0.0.5"}, "198.51.100.7:0"},
		{[]netip.Prefix{loopback, second}, []string{"203.0.113.1", "198.51.100.7", "10.0.0.5"}, "198.51.100.7:0"},
		{[]netip.Prefix{loopback, second}, []string{"10.0.0.6,10.0.0.5"}, "10.0.0.6:0"},
		{[]netip.Prefix{loopback, second}, []string{"198.51.100.7, evil, 10.0.0.5"}, "10.0.0.5:0"},
		{[]netip.Prefix{loopback}, []string{"198.51.100.7, "}, ""},
		{[]netip.Prefix{loopback}, []string{"198.51.100.7:4711"}, "198.51.100.7:0"},
		{[]netip.Prefix{loopback, six}, []string{"2001:db8:1::7, [2001:db8::1]:80"}, "[2001:db8:1::7]:0"},
		{[]netip.Prefix{loopback}, []string{"::ffff:198.51.100.7"}, "198.51.100.7:0"},
		{[]netip.Prefix{loopback, second}, []string{"198.51.100.7, ::ffff:10.0.0.5"}, "198.51.100.7:0"},
		{[]netip.Prefix{loopback}, []string{"fe80::1%eth0"}, ""},
	} {
		r := &http.Request{RemoteAddr: peer, Header: http.Header{
			"X-Forwarded-For": c.header, "Forwarded": {"for=192.0.2.1"}, "X-Real-Ip": {"192.0.2.2"},
		}}
		want := c.want
		if want == "" {
			want = peer
		}
		f := forwarded{c.trusted}
		assert.Equal(t, want, f.client(r), "%v %q", c.trusted, c.header)
	}
	f := forwarded{[]netip.Prefix{loopback}}
	assert.Equal(t, "pipe", f.client(&http.Request{RemoteAddr: "pipe", Header: http.Header{"X-Forwarded-For": {"192.0.2.1"}}}))
}
