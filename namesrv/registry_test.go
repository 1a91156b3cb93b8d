package namesrv

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ask has r answer one request from this machine.
func ask(r http.Handler, method, target string, changes ...func(*http.Request)) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, target, nil)
	req.Host, req.RemoteAddr = "127.0.0.1:8080", "127.0.0.1:4321"
	for _, change := range changes {
		change(req)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w
}

func put(t *testing.T, r http.Handler, addr, ttl string) {
	t.Helper()
	w := ask(r, http.MethodPut, "/v1/servers/"+url.PathEscape(addr)+"?ttl="+ttl)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
}

func list(t *testing.T, r http.Handler) ServerList {
	t.Helper()
	w := ask(r, http.MethodGet, "/v1/servers")
	require.Equal(t, http.StatusOK, w.Code)
	var l ServerList
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &l))
	return l
}

func text(t *testing.T, r http.Handler) string {
	t.Helper()
	w := ask(r, http.MethodGet, "/namesrv/addrs")
	require.Equal(t, http.StatusOK, w.Code)
	return w.Body.String()
}

func TestTextFormForOriginalClients(t *testing.T) {
	r := NewRegistry()
	for _, addr := range []string{"b.example:1210", "10.0.0.2:1211", "10.0.0.2:1210", "[::1]:1210", "[::1]:1211"} {
		put(t, r, addr, "30s")
	}
	for range 10 {
		assert.Equal(t, "10.0.0.2\n10.0.0.2:1211\n[::1]\n[::1]:1211\nb.example\n", text(t, r), "a stable order, each line ended")
	}
	w := ask(r, http.MethodHead, "/namesrv/addrs")
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
}

func TestVersionGrowsWithEveryChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry()
		before := list(t, r)
		require.NotEmpty(t, before.Instance)
		require.NotNil(t, before.Servers)
		require.NotEqual(t, before.Instance, list(t, NewRegistry()).Instance)
		step := func(grows bool, what string) {
			t.Helper()
			after := list(t, r)
			require.Equal(t, before.Instance, after.Instance)
			if grows {
				require.Greater(t, after.Version, before.Version, what)
			} else {
				require.Equal(t, before.Version, after.Version, what)
			}
			before = after
		}
		put(t, r, "a:1", "30s")
		step(true, "registered")
		time.Sleep(10 * time.Second)
		put(t, r, "A:01", "30s")
		step(false, "renewed: the same address")
		require.Equal(t, []Server{{Address: "a:1", LeaseMs: 30_000}}, before.Servers)
		require.Equal(t, http.StatusNoContent, ask(r, http.MethodDelete, "/v1/servers/a:1").Code)
		step(true, "unregistered")
		require.Equal(t, http.StatusNoContent, ask(r, http.MethodDelete, "/v1/servers/a:1").Code)
		step(false, "was not there")
		put(t, r, "a:1", "10s")
		step(true, "registered again")
		time.Sleep(10 * time.Second)
		step(true, "expired")
	})
}

func TestDefect_N2_TheDeadOneGoesAndNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry()
		for i := range 20 {
			put(t, r, fmt.Sprintf("s%02d:1210", i), "30s")
		}
		for second := range 120 {
			time.Sleep(time.Second)
			if second%10 == 9 {
				for i := range 20 {
					if i != 7 {
						put(t, r, fmt.Sprintf("s%02d:1210", i), "30s")
					}
				}
			}
			lines := text(t, r)
			require.Equal(t, second < 29, strings.Contains(lines, "s07\n"), "second %d", second+1)
			for i := range 20 {
				require.True(t, i == 7 || strings.Contains(lines, fmt.Sprintf("s%02d\n", i)), "second %d: s%02d blinks", second+1, i)
			}
		}
	})
}

func TestDefect_N3_IdentityIsTheAddress(t *testing.T) {
	r := NewRegistry()
	for _, addr := range []string{"10.0.0.1:1210", "10.0.0.2:1210", "[::ffff:10.0.0.1]:1210", "10.0.0.1:01210"} {
		put(t, r, addr, "30s")
	}
	assert.Equal(t, "10.0.0.1\n10.0.0.2\n", text(t, r))
}

var badAddresses = []string{
	"", ":", "a", "a:", ":1", "a:0", "a:65536", "a:-1", "a:+1", "a:1x", "a:1:1", "a b:1", "a\n:1", "a\x00:1", "a/b:1", "<html>:1",
	"..:1", "a..b:1", "1.2.3:1", "256.1.1.1:1", "0.0.0.0:1", "[::]:1", "[fe80::1%eth0]:1", "224.0.0.1:1", "::1:1", "http://a:1", "a@b:1",
	"é:1", strings.Repeat("a", 64) + ":1", strings.Repeat("a.", 127) + "a:1",
}

func TestDefect_N6_BadRequests(t *testing.T) {
	r := NewRegistry(WithAllowedHosts("Names.example."))
	put(t, r, "good:1", "30s")
	before := list(t, r)

	remote := func(req *http.Request) { req.RemoteAddr = "10.0.0.7:4321" }
	host := func(h string) func(*http.Request) { return func(req *http.Request) { req.Host = h } }
	header := func(k, v string) func(*http.Request) { return func(req *http.Request) { req.Header.Set(k, v) } }
	body := func(n int) func(*http.Request) {
		return func(req *http.Request) { req.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", n))) }
	}
	good := "/v1/servers/new:1"
	for _, c := range []struct {
		method, target string
		change         func(*http.Request)
		status         int
		code           string
	}{
		{"GET", "/", nil, 404, "not_found"},
		{"GET", "/v1/servers/", nil, 404, "not_found"},
		{"GET", "/diamond-server/config", nil, 404, "not_found"},
		{"POST", "/v1/servers", nil, 405, "invalid"},
		{"POST", good, nil, 405, "invalid"},
		{"GET", good, nil, 405, "invalid"},
		{"PUT", "/namesrv/addrs", nil, 405, "invalid"},
		{"PUT", good + "?ttl=", nil, 400, "invalid"},
		{"PUT", good + "?ttl=30", nil, 400, "invalid"},
		{"PUT", good + "?ttl=-30s", nil, 400, "invalid"},
		{"PUT", good + "?ttl=999ms", nil, 400, "invalid"},
		{"PUT", good + "?ttl=1h1s", nil, 400, "invalid"},
		{"PUT", good + "?ttl=30s&ttl=31s", nil, 400, "invalid"},
		{"PUT", good + "?lease=30s", nil, 400, "invalid"},
		{"PUT", good + "?%zz", nil, 400, "invalid"},
		{"PUT", good, body(maxBody + 1), 413, "too_large"},
		{"PUT", good, remote, 403, "denied"},
		{"DELETE", "/v1/servers/good:1", remote, 403, "denied"},
		{"PUT", good, header("X-Forwarded-For", "10.0.0.7"), 403, "denied"},
		{"PUT", good, host("evil.example"), 403, "denied"},
		{"PUT", good, host("evil.example:8080"), 403, "denied"},
		{"PUT", good, header("Sec-Fetch-Site", "cross-site"), 403, "denied"},
		{"PUT", good, header("Origin", "http://evil.example"), 403, "denied"},
	} {
		change := c.change
		if change == nil {
			change = func(*http.Request) {}
		}
		w := ask(r, c.method, c.target, change)
		assert.Equal(t, c.status, w.Code, "%s %s", c.method, c.target)
		var a errorAnswer
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a), "%s %s: %s", c.method, c.target, w.Body)
		assert.Equal(t, c.code, a.Error.Code, "%s %s", c.method, c.target)
		assert.NotEmpty(t, a.Error.Message)
	}
	for target, allow := range map[string]string{"/v1/servers": "GET, HEAD", "/namesrv/addrs": "GET, HEAD", good: "DELETE, PUT"} {
		w := ask(r, "PATCH", target)
		assert.Equal(t, allow, w.Header().Get("Allow"), target)
		assert.Contains(t, w.Body.String(), "this path has "+allow)
	}
	assert.Equal(t, http.StatusOK, ask(r, http.MethodHead, "/v1/servers").Code)
	for _, addr := range badAddresses[1:] { // without an address there is no such path
		w := ask(r, http.MethodPut, "/v1/servers/"+url.PathEscape(addr))
		if w.Code != http.StatusTemporaryRedirect { // ".." and the like never reach the handler
			assert.Equal(t, http.StatusBadRequest, w.Code, "%q", addr)
		}
	}
	after := list(t, r)
	assert.Equal(t, before.Version, after.Version, "nothing was done")

	for _, change := range []func(*http.Request){host("localhost:8080"), host("names.EXAMPLE"), host("[::1]:8080"), host("192.168.1.1"), body(maxBody)} {
		assert.Equal(t, http.StatusOK, ask(r, http.MethodPut, good, change).Code)
	}
	assert.Equal(t, http.StatusOK, ask(NewRegistry(WithInsecureRegistration()), http.MethodPut, good, remote).Code)
	assert.Equal(t, http.StatusOK, ask(NewRegistry(WithAllowedHosts("*")), http.MethodPut, good, host("any.example")).Code)
}

func TestX11_AddressesNeverReachAHeader(t *testing.T) {
	r := NewRegistry()
	for _, addr := range []string{"a%0d%0aSet-Cookie:x:1", "a%0aX:1", "a%00:1", "a%0d%0a%0d%0abody:1"} {
		for _, target := range []string{"/v1/servers/" + addr, "/v1/servers/a:1?ttl=" + addr, "/v1/servers/a:1?" + addr + "=1"} {
			w := ask(r, http.MethodPut, target)
			assert.Equal(t, http.StatusBadRequest, w.Code, target)
			assert.Len(t, w.Header(), 4, "%v", w.Header())
			assert.Equal(t, 1, strings.Count(w.Body.String(), "\n"), "one line: %q", w.Body)
		}
	}
}

func TestListIsFull(t *testing.T) {
	r := NewRegistry()
	for i := range MaxServers {
		_, err := r.leases.put(fmt.Sprintf("s%05d:1210", i), "", time.Minute)
		require.NoError(t, err)
	}
	w := ask(r, http.MethodPut, "/v1/servers/more:1210")
	assert.Equal(t, http.StatusTooManyRequests, w.Code)
	assert.NotEmpty(t, w.Header().Get("Retry-After"))
	put(t, r, "s00000:1210", "30s") // one of them renews

	body := ask(r, http.MethodGet, "/v1/servers").Body.Bytes()
	assert.Less(t, len(body), maxAnswer)
	decoded, err := decodeList(body)
	require.NoError(t, err)
	assert.Len(t, decoded.addrs, MaxServers)
}

func TestDefect_N1_StormOfRegistrationsAndReads(t *testing.T) {
	srv := httptest.NewServer(NewRegistry())
	defer srv.Close()
	client := srv.Client()
	client.Transport.(*http.Transport).MaxIdleConnsPerHost = 16 // else thousands of ports are used up
	do := func(method, path string) int {
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, nil)
		if !assert.NoError(t, err) {
			return 0
		}
		resp, err := client.Do(req)
		if !assert.NoError(t, err) {
			return 0
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		assert.NoError(t, err)
		return resp.StatusCode
	}
	require.Equal(t, 200, do("PUT", "/v1/servers/stays:1210"))
	const rounds = 200
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range rounds {
				path := fmt.Sprintf("/v1/servers/s%d-%d:1210", g, i%20)
				if !assert.Equal(t, 200, do("PUT", path)) {
					return
				}
				if i%3 == 0 && !assert.Equal(t, 204, do("DELETE", path)) {
					return
				}
			}
		})
		wg.Go(func() {
			for range rounds {
				if !assert.Equal(t, 200, do("GET", "/namesrv/addrs")) || !assert.Equal(t, 200, do("GET", "/v1/servers")) {
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestHealth(t *testing.T) {
	r := NewRegistry()
	for _, path := range []string{"/livez", "/readyz"} {
		w := ask(r, http.MethodGet, path)
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, "ok\n", w.Body.String())
	}
}
