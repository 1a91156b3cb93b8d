package httpserve_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/budget"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// failAs answers errors in the form of a protocol with that name.
func failAs(protocol string) httpserve.Fail {
	return func(w http.ResponseWriter, err error, status int) httpserve.Outcome {
		f := httpserve.FailureOf(err, status)
		f.SetHeaders(w.Header())
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, protocol+": "+f.Code)
		return httpserve.Outcome{Status: f.Status, Err: err}
	}
}

// say is a route's function that answers with a text.
func say(text string) httpserve.Serve {
	return func(w http.ResponseWriter, r *http.Request) httpserve.Outcome {
		httpserve.SetType(w.Header(), []string{"text/plain"})
		return httpserve.WriteContent(w, r, text)
	}
}

// serve returns a handler of routes that tells of its requests.
func serve(poll pollFunc, seen *[]httpserve.Observation, routes ...*httpserve.Route) *httpserve.Handler {
	return httpserve.New(httpserve.Config{
		Server: poll, Routes: routes, Fail: failAs("none"), Log: slog.New(slog.DiscardHandler),
		Observe: func(o httpserve.Observation) { *seen = append(*seen, o) },
		Admit: func(r *http.Request) error {
			if r.URL.RawQuery == "shed" {
				return conf.ErrOverloaded
			}
			return nil
		},
		Requests: budget.New(100, 50), Memory: budget.New(1<<20, 1<<20),
	})
}

// pollFunc is a server that can be polled.
type pollFunc func(req *conf.PollRequest) (*conf.PollResponse, error)

func (f pollFunc) Poll(_ context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
	return f(req)
}

// Each protocol answers at its own paths and in its own form, and what belongs to
// none is answered in the handler's.
func TestHandler_RoutesOfSeveralProtocols(t *testing.T) {
	var seen []httpserve.Observation
	h := serve(nil, &seen,
		&httpserve.Route{Name: "/one/{key}", Path: "/one/", Get: say("a key"), Put: say("put"), Fail: failAs("one")},
		&httpserve.Route{Name: "/one", Path: "/one", Get: say("all keys"), Fail: failAs("one")},
		&httpserve.Route{Name: "/two", Path: "/two", Open: true, Post: say("posted"), Delete: say("deleted"), Fail: failAs("two")},
	)
	for _, c := range []struct {
		method, target string
		status         int
		body, route    string
	}{
		{"GET", "/one", 200, "all keys", "/one"},
		{"GET", "/one/a/b", 200, "a key", "/one/{key}"},
		{"HEAD", "/one/a", 200, "", "/one/{key}"},
		{"PUT", "/one/a", 200, "put", "/one/{key}"},
		{"POST", "/one/a", 405, "one: invalid", "/one/{key}"},
		{"GET", "/one?shed", 429, "one: overloaded", "/one"},
		{"POST", "/two?shed", 200, "posted", "/two"},
		{"DELETE", "/two", 200, "deleted", "/two"},
		{"GET", "/two", 405, "two: invalid", "/two"},
		{"GET", "/two/a", 404, "none: invalid", "other"},
		{"BREW", "/", 404, "none: invalid", "other"},
		{"GET", "/one/" + strings.Repeat("x", httpserve.MaxURL), 414, "none: too_large", "other"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, "http://127.0.0.1"+c.target, nil))
		at := c.method + " " + c.target[:min(len(c.target), 20)]
		assert.Equal(t, c.status, w.Code, at)
		assert.Equal(t, c.body, w.Body.String(), at)
		last := seen[len(seen)-1]
		assert.Equal(t, c.route, last.Route, at)
		assert.Equal(t, c.status, last.Status, at)
		switch c.method + " " + c.target {
		case "POST /one/a":
			assert.Equal(t, "GET, HEAD, PUT", w.Header().Get("Allow"))
		case "GET /two":
			assert.Equal(t, "POST, DELETE", w.Header().Get("Allow"))
		case "BREW /":
			assert.Equal(t, "other", last.Method)
		}
	}
	assert.Zero(t, h.Requests.Used())
}

// A poll whose answer would say nothing to the client is asked again for the rest of
// its wait, and one that has waited is answered in any case.
func TestHandler_PollIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []httpserve.Observation
		var asked []time.Duration
		server := func(req *conf.PollRequest) (*conf.PollResponse, error) {
			asked = append(asked, req.Wait)
			if len(asked) == 2 {
				req.Parked()
			}
			time.Sleep(time.Second)
			return &conf.PollResponse{Applied: time.Now().Add(-time.Minute)}, nil
		}
		var again []bool
		h := serve(server, &seen, &httpserve.Route{Name: "/poll", Path: "/poll", Fail: failAs("one"), Poll: &httpserve.Poll{
			Read: func(http.ResponseWriter, *http.Request) (*conf.PollRequest, error) {
				return &conf.PollRequest{Wait: 10 * time.Second}, nil
			},
			Answer: func(w http.ResponseWriter, _ *http.Request, req *conf.PollRequest, _ *conf.PollResponse) (httpserve.Outcome, bool) {
				again = append(again, req != nil)
				return httpserve.Outcome{Status: http.StatusOK}, req == nil
			},
		}})
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "http://127.0.0.1/poll", strings.NewReader("x")))
		assert.Equal(t, []time.Duration{10 * time.Second, 9 * time.Second}, asked)
		assert.Equal(t, []bool{true, false}, again)
		require.Len(t, seen, 1)
		assert.True(t, seen[0].Poll)
		assert.Equal(t, time.Minute, seen[0].Notified)

		w = httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1/poll", nil))
		assert.Equal(t, 405, w.Code)
		assert.Equal(t, "POST", w.Header().Get("Allow"))
		assert.Len(t, asked, 2)
	})
}

func TestFailureOf(t *testing.T) {
	f := httpserve.FailureOf(&conf.Error{
		Key: conf.NewKey("g", "k"), Err: conf.ErrConflict, Current: 7, Detail: "a\nb", RetryAfter: 1500 * time.Millisecond,
	}, 0)
	assert.Equal(t, httpserve.Failure{Code: "conflict", Status: 409, Message: "a b", Key: "public/g/k", Current: 7, RetryAfterMs: 1500}, f)
	h := http.Header{}
	f.SetHeaders(h)
	assert.Equal(t, "2", h.Get("Retry-After"), "seconds, rounded up")

	f = httpserve.FailureOf(errors.New("secret"), 0)
	assert.Equal(t, httpserve.Failure{Code: "internal", Status: 500}, f)
	f = httpserve.FailureOf(conf.ErrInvalid, http.StatusNotFound)
	assert.Equal(t, 404, f.Status)
}
