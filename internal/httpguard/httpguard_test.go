package httpguard

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestHosts(t *testing.T) {
	var none, some, all Hosts
	some.Add("Config.Internal.", "other")
	all.Add("*")
	for host, want := range map[string]bool{
		"": true, "127.0.0.1": true, "10.0.0.1:1210": true, "[::1]:1210": true, "[::1]": true, "::1": true,
		"localhost": true, "LOCALHOST.:80": true, "a.localhost": true,
		"evil.test": false, "127.0.0.1.evil.test": false, "localhost.evil.test": false, "[evil.test]:1": false, "xlocalhost": false,
		"config.internal": false, "CONFIG.internal:1210": false, "config.internal.": false,
	} {
		assert.Equal(t, want, none.Allow(host), "%q", host)
		assert.True(t, all.Allow(host), "%q", host)
	}
	for _, host := range []string{"config.internal", "CONFIG.internal:1210", "config.internal.", "other:80"} {
		assert.True(t, some.Allow(host), "%q", host)
	}
	assert.False(t, some.Allow("x.config.internal"))
}

func TestHosts_BelowAName(t *testing.T) {
	var h Hosts
	h.Add(" *.Example.com ", " b ", "*", "")
	h.all = false // the lone * has its own test
	for host, want := range map[string]bool{
		"a.example.com": true, "a.b.EXAMPLE.com.:80": true, "b": true,
		"example.com": false, "aexample.com": false, "a.example.com.evil.test": false, "a.example.co": false, "*.example.com.evil": false, "evil.test": false,
	} {
		assert.Equal(t, want, h.Allow(host), "%q", host)
	}
}

func TestCheckHost(t *testing.T) {
	for _, name := range []string{"*", "a", "config.internal", "config.internal.", "*.example.com", "a_b-c.1"} {
		assert.NoError(t, CheckHost(name), "%q", name)
	}
	for _, name := range []string{"", " ", "a b", " a", "http://a", "a:80", "a/b", "[::1]", "a.*", "*a", "*.*.a", "a..b", ".", "*.", "ä"} {
		assert.Error(t, CheckHost(name), "%q", name)
	}
}

func TestFromThisMachine(t *testing.T) {
	from := func(addr string, headers ...string) bool {
		r := &http.Request{RemoteAddr: addr, Header: http.Header{}}
		for _, name := range headers {
			r.Header.Set(name, "10.0.0.7")
		}
		return FromThisMachine(r)
	}
	for _, addr := range []string{"127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "[::ffff:127.0.0.1]:1"} {
		assert.True(t, from(addr), addr)
	}
	for _, addr := range []string{"", "127.0.0.1", "10.0.0.1:1", "[2001:db8::1]:1", "localhost:1", "@", "pipe"} {
		assert.False(t, from(addr), addr)
	}
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "x-real-ip", "Via"} {
		assert.False(t, from("127.0.0.1:1", name), name)
	}
}
