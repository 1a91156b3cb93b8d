package httpserve_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/budget"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// chunked is a body whose length is not known before it has been read.
type chunked struct{ io.Reader }

// A body fails above the route's limit, whether its length is known or not, and above
// what is left of the memory budget. What it held of that is given back.
func TestHandler_BodiesAreBounded(t *testing.T) {
	const limit = 64 << 10
	read := func(w http.ResponseWriter, r *http.Request) httpserve.Outcome {
		body, err := httpserve.OpenBody(w, r, limit)
		if err == nil {
			_, err = io.Copy(io.Discard, body)
			err = body.End(err)
		}
		if err == nil {
			err = httpserve.Hold(r, int64(len(r.Header.Get("Hold")))<<10)
		}
		if err != nil {
			return failAs("one")(w, err, 0)
		}
		return say("read")(w, r)
	}
	h := serve(nil, new([]httpserve.Observation), &httpserve.Route{Name: "/", Path: "/", Post: read, Fail: failAs("one")})
	h.Memory = budget.New(200<<10, 100<<10)
	for name, c := range map[string]struct {
		body          io.Reader
		header, value string
		status        int
	}{
		"at the limit":           {strings.NewReader(strings.Repeat("x", limit)), "", "", 200},
		"above it":               {strings.NewReader(strings.Repeat("x", limit+1)), "", "", 413},
		"above it, unannounced":  {chunked{strings.NewReader(strings.Repeat("x", limit+1))}, "", "", 413},
		"compressed":             {strings.NewReader("x"), "Content-Encoding", "gzip", 400},
		"with much made of it":   {strings.NewReader("x"), "Hold", strings.Repeat("k", 200), 429},
		"with little made of it": {strings.NewReader("x"), "Hold", strings.Repeat("k", 90), 200},
	} {
		r := httptest.NewRequest("POST", "http://127.0.0.1/", c.body)
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		assert.Equal(t, c.status, w.Code, name)
		assert.Equal(t, c.status == 413, w.Header().Get("Connection") == "close", "%s: the rest is not read", name)
		assert.Zero(t, h.Memory.Used(), name)
	}
}

// Answers that peers have not read hold memory once for parts that they share.
func TestHoldAnswer(t *testing.T) {
	memory := budget.New(300<<10, 150<<10)
	r := httptest.NewRequest("GET", "/", nil)
	content := strings.Repeat("x", 100<<10)
	first, err := httpserve.HoldAnswer(memory, r, "line", content)
	assert.NoError(t, err)
	second, err := httpserve.HoldAnswer(memory, r, content)
	assert.NoError(t, err)
	assert.EqualValues(t, len("line")+len(content), memory.Used())

	_, err = httpserve.HoldAnswer(memory, r, strings.Clone(content))
	assert.ErrorIs(t, err, conf.ErrOverloaded, "another content of that size")
	small, err := httpserve.HoldAnswer(memory, r, "small")
	assert.NoError(t, err)
	assert.EqualValues(t, len("line")+len(content), memory.Used())
	for _, held := range []*httpserve.AnswerMemory{&first, &second, &small} {
		held.Release()
	}
	assert.Zero(t, memory.Used())
}

// A request of an address that has too many under way is refused in the form of its
// route, and so is one that a web page may have sent.
func TestHandler_RefusesInTheFormOfTheRoute(t *testing.T) {
	h := serve(nil, new([]httpserve.Observation), &httpserve.Route{Name: "/one", Path: "/one", Get: say("got"), Post: say("posted"), Fail: failAs("one")})
	ask := func(method, target string, change func(*http.Request)) (int, string) {
		r := httptest.NewRequest(method, target, nil)
		change(r)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	code, body := ask("POST", "http://127.0.0.1/one", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
	assert.Equal(t, 403, code)
	assert.Equal(t, "one: denied", body)
	code, _ = ask("POST", "http://rebound.example/one", func(*http.Request) {})
	assert.Equal(t, 403, code)
	code, _ = ask("GET", "http://rebound.example/one", func(*http.Request) {})
	assert.Equal(t, 200, code, "a read that does not come in over loopback")

	h.Requests = budget.New(10, 0)
	code, body = ask("GET", "http://127.0.0.1/one", func(*http.Request) {})
	assert.Equal(t, 429, code)
	assert.Equal(t, "one: overloaded", body)
	code, body = ask("GET", "http://127.0.0.1/two", func(*http.Request) {})
	assert.Equal(t, 429, code)
	assert.Equal(t, "none: overloaded", body)
}
