package httptransport_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/linnaname/gdiamond/api"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

// spec is what the test needs of an OpenAPI document.
type spec struct {
	Paths map[string]struct {
		Get, Put, Post, Delete *operation
		Parameters             []parameter
	}
	Components struct {
		Parameters map[string]parameter
		Responses  map[string]response
		Headers    map[string]header
	}
}

type operation struct {
	Parameters []parameter
	Responses  map[string]response
}

type parameter struct {
	Ref  string `yaml:"$ref"`
	Name string
	In   string
}

type response struct {
	Ref     string `yaml:"$ref"`
	Headers map[string]header
	Content map[string]any
}

type header struct {
	Ref      string `yaml:"$ref"`
	Required bool
}

func last(ref string) string { return ref[strings.LastIndex(ref, "/")+1:] }

func readSpec(t *testing.T) *spec {
	var s spec
	require.NoError(t, yaml.Unmarshal([]byte(api.OpenAPI), &s))
	for _, path := range []string{"/v1/peer/nudge", "/v1/peer/query", "/v1/cluster"} { // package server has them, and their tests
		delete(s.Paths, path)
	}
	return &s
}

// operations calls each with every operation, by method and path.
func (s *spec) operations(each func(method, path string, op *operation, params []parameter)) {
	for path, item := range s.Paths {
		for method, op := range map[string]*operation{"GET": item.Get, "PUT": item.Put, "POST": item.Post, "DELETE": item.Delete} {
			if op == nil {
				continue
			}
			var params []parameter
			for _, p := range append(append([]parameter(nil), item.Parameters...), op.Parameters...) {
				if p.Ref != "" {
					p = s.Components.Parameters[last(p.Ref)]
				}
				params = append(params, p)
			}
			each(method, path, op, params)
		}
	}
}

// good is a request that each operation answers with success, given that "k" exists.
var good = map[string]struct{ query, body string }{
	"GET /v1/configs/{namespace}/{group}/{dataId}":    {},
	"PUT /v1/configs/{namespace}/{group}/{dataId}":    {body: "x"},
	"DELETE /v1/configs/{namespace}/{group}/{dataId}": {},
	"GET /v1/configs": {},
	"GET /v1/history/{namespace}/{group}/{dataId}":   {},
	"POST /v1/changesets":                            {body: `{"op":"delete","key":"public/g/k"}` + "\n"},
	"POST /v1/poll":                                  {body: `{"keys":["public/g/k"]}`},
	"GET /v1/changes":                                {},
	"POST /v1/reports":                               {body: `{"reports":[{"key":"public/g/k","revision":1,"applied":true}]}`},
	"GET /v1/listeners/{namespace}/{group}/{dataId}": {},
	"GET /v1/clients":                                {},
	"GET /v1/position":                               {},
	"GET /v1/whoami":                                 {},
	"GET /v1/can":                                    {query: "verb=read&scope=all"},
	"GET /openapi.yaml":                              {},
	"GET /diamond-server/config":                     {query: "dataId=k&group=g"},
	"POST /diamond-server/publishConfig":             {query: "dataId=k&group=g&content=x"},
	"POST /diamond-server/getProbeModify":            {body: "Probe-Modify-Request=k%2Cg%2C%3B"},
}

var kPath = strings.NewReplacer("{namespace}", "public", "{group}", "g", "{dataId}", "k")

func request(method, path, body string) *http.Request {
	g := good[method+" "+path]
	target := "http://127.0.0.1" + kPath.Replace(path)
	if g.query != "" {
		target += "?" + g.query
	}
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Diamond-Client", "id=test")
	if strings.HasPrefix(path, "/diamond-server/") && method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func send(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// unreadable is a body that does not arrive in time.
type unreadable struct{ io.Reader }

func (unreadable) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }
func (unreadable) Close() error             { return nil }

// exercise has an operation answer with status.
func exercise(t *testing.T, method, path string, status int) *httptest.ResponseRecorder {
	k := conf.NewKey("g", "k")
	g := good[method+" "+path]
	c := protocoltest.New(t)
	if status < 300 && path != "/v1/reports" || status == 304 || status == 409 {
		c.Publish(k, "content")
	}
	r := request(method, path, g.body)
	switch status {
	case 304:
		r.Header.Set("If-None-Match", `"1-`+conf.MD5Hex("content")+`"`)
		if path == "/diamond-server/config" {
			r.Header.Set("If-None-Match", `"`+conf.MD5Hex("content")+`"`)
		}
		if path == "/diamond-server/getProbeModify" {
			r = request(method, path, "Probe-Modify-Request=k%2Cg%2C"+conf.MD5Hex("content")+"%3B")
			r.Header.Set("Long-Polling-TimeOut", "10")
		}
	case 400:
		r.URL.RawQuery += "&no=%zz"
	case 401:
		r.Header.Set("Authorization", "Bearer unknown")
		return send(protocoltest.Of(t, newProving(t)).H, r)
	case 403:
		r.Host = "evil.test"
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, loopback{}))
	case 408:
		r.Body, r.ContentLength = unreadable{}, 10
	case 409:
		r.URL.RawQuery = "ifRevision=7"
		if path == "/v1/changesets" {
			r = request(method, path, `{"op":"delete","key":"public/g/k","ifRevision":7}`+"\n")
		}
	case 410, 421, 429, 503, 504, 507:
		sentinel := map[int]error{
			410: conf.ErrCompacted, 421: conf.ErrOtherStore, 429: conf.ErrOverloaded,
			503: conf.ErrUnavailable, 504: conf.ErrUnknownOutcome, 507: conf.ErrNoSpace,
		}[status]
		return send(httptransport.NewHandler(&canned{err: conf.Errorf(sentinel, "said so")}), r)
	case 413:
		r.ContentLength = 1 << 40
	}
	return send(c.H, r)
}

type loopback struct{}

func (loopback) Network() string { return "tcp" }
func (loopback) String() string  { return "127.0.0.1:1210" }

// Every route and status of the specification is exercised.
func TestOpenAPI_Statuses(t *testing.T) {
	s := readSpec(t)
	exercised := 0
	s.operations(func(method, path string, op *operation, _ []parameter) {
		require.Contains(t, good, method+" "+path)
		for code, res := range op.Responses {
			status, err := strconv.Atoi(code)
			require.NoError(t, err)
			t.Run(fmt.Sprintf("%s %s %d", method, path, status), func(t *testing.T) {
				w := exercise(t, method, path, status)
				require.Equal(t, status, w.Code, w.Body)
				if res.Ref != "" {
					res = s.Components.Responses[last(res.Ref)]
				}
				for name, h := range res.Headers {
					if h.Ref != "" {
						h = s.Components.Headers[last(h.Ref)]
					}
					if h.Required {
						assert.NotEmpty(t, w.Header().Get(name), name)
					}
				}
				for media := range res.Content {
					assert.Equal(t, media, w.Header().Get("Content-Type"))
				}
			})
			exercised++
		}
	})
	t.Logf("%d answers of %d operations", exercised, len(good))
}

// Every live route is in the specification, with its methods.
func TestOpenAPI_Routes(t *testing.T) {
	s := readSpec(t)
	routes := make(map[string]bool)
	c := protocoltest.New(t, httptransport.WithObserver(func(o httptransport.Observation) { routes[o.Route] = true }))
	methods := []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}
	specified := map[string]bool{}
	s.operations(func(method, path string, _ *operation, _ []parameter) {
		specified[method+" "+path] = true
		if method == "GET" {
			specified["HEAD "+path] = true
		}
	})
	for path := range s.Paths {
		for _, method := range methods {
			w := send(c.H, request(method, path, ""))
			assert.Equal(t, !specified[method+" "+path], w.Code == 405, "%s %s: %d", method, path, w.Code)
		}
	}
	delete(routes, "other")
	assert.Len(t, routes, len(s.Paths), "as many routes as paths: %v", routes)
	assert.Len(t, httptransport.Routes(c.H), len(s.Paths), "no route is left out of the specification")
	assert.Equal(t, api.OpenAPI, c.Ask("GET", "/openapi.yaml", "").Body.String())
}

// Every parameter of the specification is taken, and no other.
func TestOpenAPI_Parameters(t *testing.T) {
	s := readSpec(t)
	c := protocoltest.New(t)
	value := map[string]string{
		"revision": "0", "after": "", "ifRevision": "1", "comment": "c", "type": "text", "allowEmpty": "true", "reset": "true", "namespace": "public",
		"group": "g", "prefix": "k", "limit": "5", "contents": "true", "before": "9", "wait": "0s", "dataId": "k", "content": "x",
		"local": "true", "verb": "read", "scope": "all", "as": "token:ci",
	}
	s.operations(func(method, path string, _ *operation, params []parameter) {
		for _, p := range params {
			if p.In != "query" || strings.HasPrefix(path, "/diamond-server/") {
				continue
			}
			require.Contains(t, value, p.Name)
			r := request(method, path, good[method+" "+path].body)
			r.URL.RawQuery = p.Name + "=" + value[p.Name]
			if path == "/v1/configs" && p.Name == "after" {
				r.URL.RawQuery = "after=public/g/a" // a key there, a position elsewhere
			}
			if path == "/v1/can" {
				r.URL.RawQuery = "verb=read&scope=all&as=token:ci" // it needs the first two
			}
			assert.NotEqual(t, 400, send(c.H, r).Code, "%s %s?%s", method, path, p.Name)
		}
		r := request(method, path, good[method+" "+path].body)
		r.URL.RawQuery = strings.TrimPrefix(r.URL.RawQuery+"&nonsense=1", "&")
		w := send(c.H, r)
		assert.Equal(t, 400, w.Code, "%s %s", method, path)
		assert.Contains(t, w.Body.String(), "nonsense")
	})
}
