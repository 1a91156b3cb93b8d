package namesrv

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

const (
	ns1 = "10.0.0.1:8080"
	ns2 = "10.0.0.2:8080"
)

// page is a name server that answers everything with the same.
func page(status int, contentType, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	})
}

// listed is a name server with this list.
func listed(instance string, version int64, addrs ...string) http.Handler {
	list := ServerList{Instance: instance, Version: version, Servers: []Server{}}
	for _, addr := range addrs {
		list.Servers = append(list.Servers, Server{Address: addr, LeaseMs: 1000})
	}
	body, _ := json.Marshal(list)
	return page(http.StatusOK, "application/json", string(body))
}

// register holds a lease until the function that it returns is called.
func register(t *testing.T, c *Client, addr string) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		assert.NoError(t, c.Register(ctx, addr))
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

func resolve(t *testing.T, c *Client) []string {
	t.Helper()
	servers, err := c.Resolve(t.Context())
	require.NoError(t, err)
	return servers
}

func TestDefect_N5_N8_RegisterAndResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		n.serve(t, ns1, NewRegistry())
		n.serve(t, ns2, NewRegistry())
		c := n.client(t, []string{ns1, "http://" + ns2 + "/"})
		stopA := register(t, c, "10.1.0.1:1210")
		stopB := register(t, c, "[2001:DB8::1]:1210")
		synctest.Wait()
		for range 120 {
			time.Sleep(time.Second)
			require.Equal(t, []string{"10.1.0.1:1210", "[2001:db8::1]:1210"}, resolve(t, c), "a renewed lease never blinks")
		}
		start := time.Now()
		stopA()
		assert.Less(t, time.Since(start), 2*time.Second)
		assert.Equal(t, []string{"[2001:db8::1]:1210"}, resolve(t, c), "unregistered at once")
		stopB()
	})
}

func TestNewClientRefuses(t *testing.T) {
	for _, urls := range [][]string{
		nil, {""}, {"http://"}, {"ftp://a"}, {"http://u:p@a"}, {"http://a?b"}, {"http://a#b"}, {"http://a:b"}, {"http://\x00"}, {ns1, ""},
	} {
		_, err := NewClient(urls)
		assert.ErrorIs(t, err, conf.ErrInvalid, "%q", urls)
	}
	_, err := NewClient([]string{ns1}, WithLease(time.Millisecond))
	assert.ErrorIs(t, err, conf.ErrInvalid)
	assert.NotContains(t, fmt.Sprint(NewClient([]string{"http://u:secret@a"})), "secret")
	_, err = NewClient([]string{ns1}, WithTLS(&tls.Config{}), WithHTTPClient(&http.Client{}))
	assert.ErrorIs(t, err, conf.ErrInvalid)
	source := WithTLSSource(func() *tls.Config { return &tls.Config{} })
	for _, other := range []ClientOption{WithTLS(&tls.Config{}), WithHTTPClient(&http.Client{})} {
		_, err = NewClient([]string{ns1}, source, other)
		assert.ErrorIs(t, err, conf.ErrInvalid)
	}

	for given, want := range map[string]string{
		"names": "http://names:8080", "names:1": "http://names:1", "[::1]": "http://[::1]:8080",
		"http://names": "http://names", "https://names/x": "https://names/x",
	} {
		c, err := NewClient([]string{given, given})
		require.NoError(t, err, given)
		require.Len(t, c.sources, 1)
		assert.Equal(t, want, c.sources[0].base.String())
	}
}

func TestRegisterRefusesABadAddress(t *testing.T) {
	c := newMemNet().client(t, []string{ns1})
	for _, addr := range badAddresses {
		assert.ErrorIs(t, c.Register(t.Context(), addr), conf.ErrInvalid, "%q", addr)
	}
}

func TestN1_AllNameServersDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		n.serve(t, ns1, listed("i", 1, "a:1", "b:1"))
		cache := filepath.Join(t.TempDir(), "made", "servers.json")
		c := n.client(t, []string{ns1, ns2}, WithCacheFile(cache))
		require.Equal(t, []string{"a:1", "b:1"}, resolve(t, c))

		n.kill(ns1)
		for range 60 { // (a) at run time
			time.Sleep(time.Minute)
			require.Equal(t, []string{"a:1", "b:1"}, resolve(t, c))
		}
		// (b) at boot, with what was remembered
		require.Equal(t, []string{"a:1", "b:1"}, resolve(t, n.client(t, []string{ns1, ns2}, WithCacheFile(cache))))
		info, err := os.Stat(cache)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode())

		// (c) at boot, with nothing
		_, err = n.client(t, []string{ns1, ns2}).Resolve(t.Context())
		require.ErrorIs(t, err, conf.ErrUnavailable)
		assert.ErrorContains(t, err, "refused")
	})
}

func TestRememberedListDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		cache := filepath.Join(t.TempDir(), "servers.json")
		for _, damaged := range []string{
			"", "{", `{"version":2,"servers":["a:1"]}`, `{"version":1,"servers":[]}`, `{"version":1,"servers":["a b:1"]}`,
			`{"version":1,"servers":["a:1"]`, strings.Repeat(" ", maxAnswer+1),
		} {
			require.NoError(t, os.WriteFile(cache, []byte(damaged), 0o600))
			_, err := n.client(t, []string{ns1}, WithCacheFile(cache)).Resolve(t.Context())
			require.ErrorIs(t, err, conf.ErrUnavailable, "%.40q", damaged)
		}
		n.serve(t, ns1, listed("i", 1, "a:1"))
		c := n.client(t, []string{ns1}, WithCacheFile(cache))
		require.Equal(t, []string{"a:1"}, resolve(t, c))
		n.kill(ns1)
		require.Equal(t, []string{"a:1"}, resolve(t, n.client(t, []string{ns1}, WithCacheFile(cache))), "replaced by a good one")
	})
}

func TestN2_GarbageNeverReplacesAGoodList(t *testing.T) {
	json, html := "application/json", "text/html; charset=utf-8"
	tooMany := `{"instance":"i","version":9,"servers":[` + strings.TrimSuffix(strings.Repeat(`{"address":"a:1"},`, MaxServers+1), ",") + `]}`
	for name, garbage := range map[string]http.Handler{
		"empty list":        listed("i", 2),
		"no body":           page(200, json, ""),
		"login page":        page(200, html, "<html><body>Please log in</body></html>"),
		"login as JSON":     page(200, json, "<html>"),
		"other JSON":        page(200, json, `{"status":"ok"}`),
		"list of nonsense":  listed("i", 2, "good:1", "bad"),
		"list in wrong key": page(200, json, `{"instance":"i","version":2,"Server":[{"address":"a:1"}]}`),
		"redirect":          http.RedirectHandler("http://"+ns2+"/v1/servers", http.StatusFound),
		"not found":         page(404, html, "<html>"),
		"failing":           page(500, json, `{"error":{"code":"internal","message":"\n\u001b"}}`),
		"too many":          page(200, json, tooMany),
		"endless":           page(200, json, strings.Repeat(" ", maxAnswer+1)),
		"mute":              nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				n.serve(t, ns1, listed("i", 1, "a:1", "b:1"))
				c := n.client(t, []string{ns1})
				require.Equal(t, []string{"a:1", "b:1"}, resolve(t, c))
				n.serve(t, ns1, garbage)
				require.Equal(t, []string{"a:1", "b:1"}, resolve(t, c))
				_, err := n.client(t, []string{ns1}).Resolve(t.Context())
				require.ErrorIs(t, err, conf.ErrUnavailable, "nor does it count as a first one")
				n.serve(t, ns1, listed("i", 3, "c:1"))
				require.Equal(t, []string{"c:1"}, resolve(t, c), "a good one does")
			})
		})
	}
}

func TestN3_StaleNameServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		n.serve(t, ns1, listed("one", 7, "a:1", "b:1"))
		n.serve(t, ns2, listed("two", 3, "b:1", "c:1"))
		c := n.client(t, []string{ns1, ns2})
		require.Equal(t, []string{"a:1", "b:1", "c:1"}, resolve(t, c), "the union")

		n.serve(t, ns1, listed("one", 6, "old:1"))
		require.Equal(t, []string{"a:1", "b:1", "c:1"}, resolve(t, c), "an older list of one lifetime never replaces a newer")
		n.serve(t, ns1, listed("one", 8, "d:1"))
		require.Equal(t, []string{"b:1", "c:1", "d:1"}, resolve(t, c), "a newer one does")
		n.serve(t, ns1, listed("again", 1, "e:1"))
		require.Equal(t, []string{"b:1", "c:1", "e:1"}, resolve(t, c), "versions start again with a name server's lifetime")
		n.kill(ns1)
		require.Equal(t, []string{"b:1", "c:1", "e:1"}, resolve(t, c), "one name server's silence takes nothing away")
	})
}

func TestDefect_N4_MuteNameServerBlocksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		n.serve(t, ns1, nil)
		n.serve(t, ns2, NewRegistry())
		c := n.client(t, []string{ns1, ns2})
		stop := register(t, c, "a:1")
		synctest.Wait()
		for range 100 {
			time.Sleep(time.Second)
			start := time.Now()
			require.Equal(t, []string{"a:1"}, resolve(t, c))
			require.LessOrEqual(t, time.Since(start), grace)
		}
		start := time.Now()
		stop()
		assert.LessOrEqual(t, time.Since(start), callTimeout)

		start = time.Now()
		_, err := n.client(t, []string{ns1}).Resolve(t.Context())
		require.ErrorIs(t, err, conf.ErrUnavailable)
		assert.Equal(t, callTimeout, time.Since(start))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = n.client(t, []string{ns1}).Resolve(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// An original name server has the text form only.
func TestTextOnlyNameServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		mux := http.NewServeMux()
		mux.Handle("/base/namesrv/addrs", page(http.StatusOK, "text/plain", "10.0.0.9\nhost:7000"))
		n.serve(t, ns1, mux)
		c := n.client(t, []string{"http://" + ns1 + "/base"})
		assert.Equal(t, []string{"10.0.0.9:1210", "host:7000"}, resolve(t, c))
	})
}
