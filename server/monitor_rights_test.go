package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// Without a cluster secret any program of this machine may send queries of peers. So they are
// answered as to an anonymous caller, whoever they say that they ask for.
func TestQueries_WithoutAProofAreAnonymous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newGovernedNode(t, tenantOf("a")...)
		time.Sleep(time.Minute)
		send := func(body string) int {
			q := wire{method: http.MethodPost, target: "/v1/peer/query", body: body}
			r, err := q.parse("")
			require.NoError(t, err)
			r.RemoteAddr = "127.0.0.1:4711"
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1210}))
			w := httptest.NewRecorder()
			n.serveHTTP(w, r)
			return w.Code
		}
		for _, ask := range []string{`"clients":{}`, `"listeners":{"Key":{"Namespace":"a.daily","Group":"g","DataID":"k"}}`, `"cluster":true`} {
			assert.Equal(t, http.StatusForbidden, send(`{"principal":"token:root",`+ask+`}`), ask)
		}
		assert.Equal(t, http.StatusBadRequest, send(`{}`), "it is a peer")
	})
}

// What the page of the cluster says of a server: how it decides about rights, and what it has.
func TestCluster_OfAGovernedNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newGovernedNode(t, tenantOf("a")...)
		time.Sleep(time.Minute)
		state := n.state()
		assert.Equal(t, conf.ModeClosed, state.Mode)
		assert.True(t, state.Ready)
		assert.Equal(t, n.revision(), state.Revision)
		assert.Empty(t, state.Storage)
		assert.Empty(t, state.Certificates)
		n.leaving.Store(true)
		assert.False(t, n.state().Ready)
	})
}

// Pages that overlap, and that end at different names, make one page: nobody is listed twice or
// left out, and the newer of two descriptions counts.
func TestMerge(t *testing.T) {
	now := time.Now()
	one := func(name string, polling bool, age time.Duration) conf.Client {
		return conf.Client{Name: name, Polling: polling, Seen: now.Add(-age)}
	}
	same := func(c *conf.Client) *conf.Client { return c }
	all := func(*conf.Client) bool { return true }
	parts := func() []part[conf.Client] {
		return []part[conf.Client]{
			{"x", []conf.Client{one("a", false, 0), one("c", true, time.Hour), one("e", true, 0)}, "e"},
			{"y", []conf.Client{one("a", true, time.Hour), one("b", true, 0), one("c", false, 0), one("d", true, 0)}, "d"},
			{"z", []conf.Client{one("z", true, 0)}, ""},
		}
	}
	shown := func(limit int) (names string, next string) {
		list, next := merge(parts(), limit, same, mergeClient, all)
		for _, c := range list {
			names += fmt.Sprintf("%s@%s ", c.Name, c.Node)
		}
		return names, next
	}
	names, next := shown(0)
	assert.Equal(t, "a@y b@y c@x d@y ", names, "e may come after one that y has not listed yet")
	assert.Equal(t, "d", next)
	names, next = shown(2)
	assert.Equal(t, "a@y b@y ", names)
	assert.Equal(t, "b", next)
}
