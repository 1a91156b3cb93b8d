package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/internal/clienttest"
	"github.com/linnaname/gdiamond/internal/httpserve"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// governedNode is a node that hosts a Centre on a governed store.
type governedNode struct {
	*Node
	t      *testing.T
	store  diamond.Storage
	centre *govern.Centre
	log    *clienttest.Logs
}

// newGovernedNode returns a node on memory alone with documents. User root administers all.
func newGovernedNode(t *testing.T, documents ...govern.Document) *governedNode {
	t.Helper()
	n := &governedNode{t: t, store: memstore.New(), log: &clienttest.Logs{}}
	all := []govern.Document{
		&govern.Marker{Mode: govern.ModeClosed}, &govern.StoreSecret{Positions: bytes.Repeat([]byte{7}, 32)},
		&govern.Namespace{ID: "public"}, tokenOf("root"), grantsOn(govern.AllScope(), "token:root", govern.RoleAdministrator),
	}
	for _, r := range govern.BuiltInRoles() {
		all = append(all, r)
	}
	n.commit(setOf(t, append(all, documents...)...))
	srv, err := diamond.NewServer(n.store)
	require.NoError(t, err)
	logger := slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	n.centre, err = govern.New(srv, govern.WithLogger(logger))
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, n.centre.Close())
		assert.NoError(t, n.store.Close())
	})
	n.Node = NewNode(n.centre, WithLogger(logger), WithPeers(nobody{}, cluster.Secret{}))
	return n
}

// commit commits to the storage, whoever may. Servers see it as a commit of another server.
func (n *governedNode) commit(set conf.ChangeSet) {
	n.t.Helper()
	results, err := n.store.Commit(context.Background(), []conf.ChangeSet{set})
	require.NoError(n.t, err)
	require.NoError(n.t, results[0].Err)
}

func setOf(t *testing.T, documents ...govern.Document) (set conf.ChangeSet) {
	t.Helper()
	for _, d := range documents {
		content, err := govern.Encode(d)
		require.NoError(t, err)
		set.Drafts = append(set.Drafts, conf.Draft{Key: d.Key(), Content: content})
	}
	return set
}

// tokenSecret returns the secret of a token in tests.
func tokenSecret(name string) string {
	return govern.SecretPrefix + govern.HashTokenSecret("secret of " + name)[:43]
}

func tokenOf(name string) *govern.Token {
	return &govern.Token{Name: name, Generation: 1, Secrets: []govern.Secret{{SHA256: govern.HashTokenSecret(tokenSecret(name))}}}
}

// grantsOn returns the grants on a scope: subjects, each with its role.
func grantsOn(scope govern.Scope, pairs ...string) *govern.Grants {
	g := &govern.Grants{Scope: scope}
	for i := 0; i < len(pairs); i += 2 {
		g.Grants = append(g.Grants, govern.Grant{Subject: pairs[i], Role: pairs[i+1]})
	}
	return g
}

// tenantOf returns the documents of a tenant with a namespace "T.daily", which the token
// "T.reader" may read, in which "T.releaser" may release, and of which "T.admin" administers
// everything, as it does in the rest of the tenant.
func tenantOf(tenant string) []govern.Document {
	return []govern.Document{
		&govern.Tenant{Name: tenant, Environments: govern.DefaultEnvironments()},
		&govern.Namespace{ID: tenant + ".daily", Tenant: tenant, Environment: "daily"},
		tokenOf(tenant + ".reader"), tokenOf(tenant + ".releaser"), tokenOf(tenant + ".admin"),
		grantsOn(govern.NamespaceScope(tenant+".daily"), "token:"+tenant+".reader", govern.RoleReader, "token:"+tenant+".releaser", govern.RoleReleaser),
		grantsOn(govern.TenantScope(tenant), "token:"+tenant+".admin", govern.RoleAdministrator),
	}
}

// routes returns what the node serves, by method and path, with the right of each.
func (n *governedNode) routes() map[string]httpserve.Right {
	n.t.Helper()
	all := make(map[string]httpserve.Right)
	for _, r := range n.handler.(*httpserve.Handler).Routes {
		for _, method := range r.Methods() {
			all[method+" "+r.Name] = r.Right
		}
	}
	for path, page := range n.pages {
		method := http.MethodGet
		if page.right == httpserve.RightPeer {
			method = http.MethodPost
		}
		all[method+" "+path] = page.right
		if page.verbose != "" {
			all[method+" "+path+"?verbose"] = page.verbose
		}
	}
	return all
}

// wire is a request as a client writes it.
type wire struct {
	method, target string // of the request line, as they are
	headers        []string
	body           string
}

// parse returns the request as net/http reads it, or an error if it refuses it.
func (q *wire) parse(token string) (*http.Request, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n", q.method, q.target, len(q.body))
	if token != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", token)
	}
	for i := 0; i < len(q.headers); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", q.headers[i], q.headers[i+1])
	}
	b.WriteString("\r\n" + q.body)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(b.String())))
	if err == nil {
		r.RemoteAddr = "192.0.2.1:4711"
	}
	return r, err
}

// send sends a request without a network. What net/http refuses has the status 400.
func (n *governedNode) send(q wire, token string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r, err := q.parse(token)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return w
	}
	n.serveHTTP(w, r)
	return w
}
