package namesrv

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDefect_C22_TolerantOfHowListsAreWritten(t *testing.T) {
	for body, want := range map[string][]string{
		"":                         nil,
		"\n\n  \n":                 nil,
		"10.0.0.1\n":               {"10.0.0.1:1210"},
		"10.0.0.1":                 {"10.0.0.1:1210"},
		"10.0.0.1\n10.0.0.2":       {"10.0.0.1:1210", "10.0.0.2:1210"},
		"10.0.0.1\r\n\r\nHost\r\n": {"10.0.0.1:1210", "host:1210"},
		" a:7000 \n[::1]\n::1\n":   {"a:7000", "[::1]:1210", "[::1]:1210"},
		"[::1]:7000":               {"[::1]:7000"},
	} {
		got, err := parseAddrs(body)
		require.NoError(t, err, "%q", body)
		assert.Equal(t, want, got, "%q", body)
	}
	for _, body := range []string{"<html>", "a\n<p>\nb", "a:\n", "0.0.0.0", "a b", "\x00", "{\"a\":1}"} {
		_, err := parseAddrs(body)
		assert.Error(t, err, "%q", body)
	}
}

func FuzzF6_ListDecoders(f *testing.F) {
	f.Add([]byte(`{"instance":"i","version":1,"servers":[{"address":"a:1","leaseMs":1},{"address":"[::1]:1210"}]}`))
	f.Add([]byte(`{"version":1,"servers":["a:1","10.0.0.1:1210"]}`))
	f.Add([]byte("10.0.0.1\n[::1]:7000\r\nhost:1"))
	f.Add([]byte("<html><body>log in</body></html>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		good := func(addrs []string) {
			if len(addrs) > MaxServers {
				t.Fatalf("%d servers", len(addrs))
			}
			for _, addr := range addrs {
				if again, err := canonical(addr, ""); err != nil || again != addr {
					t.Fatalf("%q is not canonical: %q, %v", addr, again, err)
				}
			}
		}
		if list, err := decodeList(body); err == nil {
			if list.instance == "" || list.version < 0 {
				t.Fatalf("instance %q, version %d", list.instance, list.version)
			}
			good(list.addrs)
		}
		if addrs, err := decodeCache(body); err == nil {
			good(addrs)
			again, err := json.Marshal(cacheFile{Version: 1, Servers: addrs})
			if err != nil {
				t.Fatal(err)
			}
			if back, err := decodeCache(again); err != nil || !slices.Equal(back, addrs) {
				t.Fatalf("%q came back as %q, %v", addrs, back, err)
			}
		}
		if addrs, err := parseAddrs(string(body)); err == nil {
			good(addrs)
			if back, err := parseAddrs(string(formatAddrs(addrs))); err != nil || !slices.Equal(back, addrs) {
				t.Fatalf("%q came back as %q, %v", addrs, back, err)
			}
		}
	})
}
