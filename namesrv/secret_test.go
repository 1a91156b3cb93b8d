package namesrv

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/cluster"
)

func secret(t *testing.T, text string) cluster.Secret {
	t.Helper()
	s, err := cluster.NewSecret(text)
	require.NoError(t, err)
	return s
}

func ours(t *testing.T) Option   { return WithSecret(secret(t, "Wm4vQ0hYc2tP-ours")) }
func theirs(t *testing.T) Option { return WithSecret(secret(t, "Wm4vQ0hYc2tP-theirs")) }

// abroad has requests come from another machine.
func abroad(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = "10.9.9.9:4321"
		h.ServeHTTP(w, r)
	})
}

// tap records what came to a handler, as one who listens on the wire does.
type tap struct {
	http.Handler
	mu   sync.Mutex
	seen []*http.Request
}

func (p *tap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	if r.Method != http.MethodGet {
		p.seen = append(p.seen, r.Clone(context.Background()))
	}
	p.mu.Unlock()
	p.Handler.ServeHTTP(w, r)
}

func (p *tap) captured() []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*http.Request(nil), p.seen...)
}

// replay sends a captured request again.
func replay(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	again := r.Clone(context.Background())
	again.Body = io.NopCloser(bytes.NewReader(nil))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, again)
	return w
}

func TestX16_RogueServer(t *testing.T) {
	r := NewRegistry(ours(t), WithInsecureRegistration())
	put := func(changes ...func(*http.Request)) *httptest.ResponseRecorder {
		return ask(r, http.MethodPut, "/v1/servers/attacker:80?ttl=30s", changes...)
	}
	header := func(k, v string) func(*http.Request) { return func(req *http.Request) { req.Header.Set(k, v) } }
	for name, w := range map[string]*httptest.ResponseRecorder{
		"from another machine": put(func(req *http.Request) { req.RemoteAddr = "10.0.0.7:4321" }),
		"from this machine":    put(),
		"with a header":        put(header("Diamond-Cluster-Proof", "x")),
		"with credentials":     put(header("Authorization", "Bearer Wm4vQ0hYc2tP-ours")),
		"unregister":           ask(r, http.MethodDelete, "/v1/servers/good:1"),
	} {
		assert.Equal(t, http.StatusForbidden, w.Code, name)
		assert.Contains(t, w.Body.String(), `"denied"`, name)
	}
	assert.Contains(t, put().Body.String(), "only callers that know the cluster secret may do this")
	assert.Empty(t, addresses(r))

	// Whoever has another secret is told so, though the name server was not there at first.
	for _, opts := range [][]ClientOption{{theirs(t)}, {}} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			r := NewRegistry(ours(t))
			n := newMemNet()
			n.serve(t, ns1, page(http.StatusBadGateway, "text/html", "<html>"))
			c := n.client(t, []string{ns1}, append(opts, WithLogger(slog.New(slog.NewTextHandler(&log, nil))))...)
			stop := register(t, c, "attacker:80")
			time.Sleep(time.Minute)
			n.serve(t, ns1, abroad(r))
			time.Sleep(time.Minute)
			stop()
			assert.Empty(t, addresses(r))
			assert.Regexp(t, "another cluster secret|only callers that know the cluster secret", log.String())
		})
	}
	list := ask(r, http.MethodGet, "/v1/servers", func(req *http.Request) { req.RemoteAddr = "10.0.0.7:4321" })
	assert.Equal(t, http.StatusOK, list.Code, "the list is for everybody")
}

func TestX16_WithTheSecretFromAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		n.serve(t, ns1, abroad(NewRegistry(ours(t))))
		n.serve(t, "names.example:8080", abroad(NewRegistry(ours(t)))) // called by a name that nobody allowed
		reader := n.client(t, []string{ns1, "names.example:8080"})
		stop := register(t, n.client(t, []string{ns1, "names.example:8080"}, ours(t)), "[::1]:1210")
		synctest.Wait()
		for range 300 {
			require.Equal(t, []string{"[::1]:1210"}, resolve(t, reader))
			time.Sleep(time.Second)
		}
		n.serve(t, ns1, abroad(NewRegistry(ours(t)))) // a new lifetime: it has to be met again
		time.Sleep(DefaultLease)
		require.Equal(t, []string{"[::1]:1210"}, resolve(t, n.client(t, []string{ns1})))
		stop()
	})
}

// What was captured on the wire is worth nothing: not now, not later, not at
// another name server, not at this one when it has started anew.
func TestX16_Replays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		one, two := NewRegistry(ours(t)), NewRegistry(ours(t))
		wire := &tap{Handler: one}
		n.serve(t, ns1, wire)
		n.serve(t, ns2, two)
		worthless := func(at ...http.Handler) {
			t.Helper()
			for _, r := range wire.captured() {
				for _, h := range at {
					require.Equal(t, http.StatusForbidden, replay(h, r).Code, "%s %s", r.Method, r.URL)
				}
			}
		}

		stop := register(t, n.client(t, []string{ns1, ns2}, ours(t)), "a:1")
		synctest.Wait()
		require.Len(t, wire.captured(), 2, "one to get to know each other, one that counts")
		worthless(one, two)
		stop()
		require.Empty(t, addresses(one))
		worthless(one, two)
		require.Empty(t, addresses(one), "it is not registered again")
		require.Equal(t, http.MethodDelete, wire.captured()[2].Method)

		stop = register(t, n.client(t, []string{ns1, ns2}, ours(t)), "a:1")
		synctest.Wait()
		require.Equal(t, []string{"a:1"}, addresses(one))
		worthless(one, two)
		require.Equal(t, []string{"a:1"}, addresses(one), "nor unregistered again")
		require.Equal(t, []string{"a:1"}, addresses(two), "anywhere")
		worthless(NewRegistry(ours(t)))

		stop()
		time.Sleep(24 * time.Hour)
		worthless(one, two)
		require.Empty(t, addresses(one))
	})
}
