package server

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// canaryContent is the content of each key in the matrix. Nobody sees it, or its digest,
// without a right.
const canaryContent = "canary-of-a"

// identities are who asks in the matrix, each with the token that it sends.
var identities = map[string]string{
	"none":     "",
	"wrong":    tokenSecret("nobody"),
	"expired":  tokenSecret("a.expired"),
	"retired":  tokenSecret("a.retired"),
	"foreign":  tokenSecret("b.reader"), // of another tenant
	"reader":   tokenSecret("a.reader"),
	"releaser": tokenSecret("a.releaser"),
	"admin":    tokenSecret("a.admin"), // of the tenant
	"root":     tokenSecret("root"),
}

// invalid are the identities whose proof is not valid.
const invalid = "wrong expired retired"

// The needs of rows: who has them. It is written down here, and not asked of the code.
var needs = map[string]struct {
	right httpserve.Right
	who   string
}{
	"nothing, and no proof is looked at": {httpserve.RightNone, "none wrong expired retired foreign reader releaser admin root"},
	"nothing":                            {httpserve.RightNone, "none foreign reader releaser admin root"},
	"nothing but to ask":                 {httpserve.RightByServer, "none foreign reader releaser admin root"},
	"read in a.daily":                    {httpserve.RightByServer, "reader releaser admin root"},
	"release in a.daily":                 {httpserve.RightByServer, "releaser admin root"},
	"read in public":                     {httpserve.RightByServer, "reader releaser root"},
	"release in public":                  {httpserve.RightByServer, "releaser root"},
	"release in both":                    {httpserve.RightByServer, "releaser root"},
	"administer on a":                    {httpserve.RightByServer, "admin root"},
	"administer on all":                  {httpserve.RightByServer, "root"},
	"the token itself":                   {httpserve.RightByServer, "reader admin root"},
	"nobody":                             {httpserve.RightByServer, ""},
	"a server of the cluster":            {httpserve.RightPeer, ""},
	"a page about everybody":             {httpserve.RightAll, "root"},
}

// row is a request to a route, for the key g/ID of a namespace.
type row struct {
	need    string
	request func(id string) wire
	perKey  bool // a denial is in an answer 200
	details bool // a denial is an answer 200 without details
}

func get(target string) func(string) wire { return ask("GET", target, "") }

// ask returns a request in which ID is replaced.
func ask(method, target, body string, headers ...string) func(string) wire {
	return func(id string) wire {
		fill := strings.NewReplacer("ID", id).Replace
		return wire{method, fill(target), headers, fill(body)}
	}
}

var form = []string{"Content-Type", "application/x-www-form-urlencoded"}

// matrix has the requests to each route.
func matrix(t *testing.T) map[string][]row {
	document := func(d govern.Document) string { return setOf(t, d).Drafts[0].Content }
	all := document(grantsOn(govern.AllScope(), "token:root", govern.RoleAdministrator, "user:joe", govern.RoleAdministrator))
	return map[string][]row{
		"GET /v1/configs/{key}": {
			{need: "read in a.daily", request: get("/v1/configs/a.daily/g/ID")},
			{need: "read in public", request: get("/v1/configs/public/g/ID")},
			{need: "read in a.daily", request: get("/v1/configs/_govern/namespace/a.daily")},
			{need: "administer on a", request: get("/v1/configs/_govern/grants/tenant:a")},
			{need: "the token itself", request: get("/v1/configs/_govern/token/a.reader")},
			{need: "administer on all", request: get("/v1/configs/_govern/grants/all")},
			{need: "nobody", request: get("/v1/configs/_govern/centre/secret")},
			{need: "nobody", request: get("/v1/configs/_sys/g/ID")},
		},
		"PUT /v1/configs/{key}": {
			{need: "release in a.daily", request: ask("PUT", "/v1/configs/a.daily/g/ID", canaryContent)},
			{need: "release in public", request: ask("PUT", "/v1/configs/public/g/ID", canaryContent)},
			{need: "administer on all", request: ask("PUT", "/v1/configs/_govern/grants/all", all)},
		},
		"DELETE /v1/configs/{key}": {{need: "release in a.daily", request: ask("DELETE", "/v1/configs/a.daily/g/ID", "")}},
		"GET /v1/history/{key}": {
			{need: "read in a.daily", request: get("/v1/history/a.daily/g/ID")},
			{need: "nobody", request: get("/v1/history/_govern/centre/secret")},
		},
		"GET /v1/configs": {
			{need: "read in a.daily", request: get("/v1/configs?namespace=a.daily&group=g&prefix=ID&contents=true")},
			{need: "read in public", request: get("/v1/configs?namespace=public&contents=true")},
		},
		"POST /v1/changesets": {
			{need: "release in a.daily", request: ask("POST", "/v1/changesets", `{"op":"publish","key":"a.daily/g/ID","length":1}`+"\nx\n")},
			{need: "release in both", request: ask("POST", "/v1/changesets", `{"op":"publish","key":"public/g/ID","length":1}`+"\nx\n"+`{"op":"publish","key":"a.daily/g/ID","length":1}`+"\nx\n")},
			{need: "nobody", request: ask("POST", "/v1/changesets", `{"op":"delete","key":"_govern/centre/secret"}`+"\n")},
		},
		"POST /v1/poll": {
			{need: "read in a.daily", request: ask("POST", "/v1/poll", `{"keys":["a.daily/g/ID"]}`), perKey: true},
			{need: "nobody", request: ask("POST", "/v1/poll", `{"keys":["_govern/centre/secret"]}`), perKey: true},
		},
		"GET /v1/changes":  {{need: "read in a.daily", request: get("/v1/changes?namespace=a.daily&group=g&prefix=ID&contents=true")}},
		"POST /v1/reports": {{need: "read in a.daily", request: ask("POST", "/v1/reports", `{"reports":[{"key":"a.daily/g/ID","revision":1,"applied":true}]}`, "Diamond-Client", "id=test")}},
		"GET /v1/listeners/{key}": {
			{need: "read in a.daily", request: get("/v1/listeners/a.daily/g/ID")},
			{need: "read in public", request: get("/v1/listeners/public/g/ID?limit=1&local=true")},
			{need: "administer on all", request: get("/v1/listeners/_govern/grants/all")},
			{need: "nobody", request: get("/v1/listeners/_govern/centre/secret")},
		},
		"GET /v1/clients": {
			{need: "administer on all", request: get("/v1/clients")}, // whose role has list on all
			{need: "administer on all", request: get("/v1/clients?namespace=public")},
			{need: "administer on a", request: get("/v1/clients?namespace=a.daily")},
		},
		"GET /v1/position": {{need: "nothing", request: get("/v1/position")}},
		"GET /v1/whoami":   {{need: "nothing", request: get("/v1/whoami")}},
		"GET /v1/can": {
			{need: "nothing but to ask", request: get("/v1/can?verb=read&scope=namespace:a.daily")},
			{need: "administer on a", request: get("/v1/can?verb=read&scope=tenant:a&as=token:b.admin")},
		},
		"GET /openapi.yaml":          {{need: "nothing", request: get("/openapi.yaml")}},
		"GET /diamond-server/config": {{need: "read in public", request: get("/diamond-server/config?dataId=ID&group=g")}},
		"POST /diamond-server/publishConfig": {
			{need: "release in public", request: ask("POST", "/diamond-server/publishConfig", "dataId=ID&group=g&content="+canaryContent, form...)},
			{need: "release in public", request: ask("POST", "/diamond-server/publishConfig?dataId=ID&group=g&content=x", "")},
		},
		"POST /diamond-server/getProbeModify": {{need: "read in public", request: ask("POST", "/diamond-server/getProbeModify", "Probe-Modify-Request=ID%2Cg%2C%3B", form...)}},
		"POST /v1/peer/nudge":                 {{need: "a server of the cluster", request: ask("POST", "/v1/peer/nudge", "{}")}},
		"POST /v1/peer/query":                 {{need: "a server of the cluster", request: ask("POST", "/v1/peer/query", `{"principal":"token:root","clients":{}}`)}},
		"GET /v1/cluster":                     {{need: "a page about everybody", request: get("/v1/cluster")}},
		"GET /livez":                          {{need: "nothing, and no proof is looked at", request: get("/livez")}},
		"GET /healthz":                        {{need: "nothing, and no proof is looked at", request: get("/healthz")}},
		"GET /readyz":                         {{need: "nothing, and no proof is looked at", request: get("/readyz")}},
		"GET /version":                        {{need: "nothing, and no proof is looked at", request: get("/version")}},
		"GET /readyz?verbose":                 {{need: "a page about everybody", request: get("/readyz?verbose"), details: true}},
		"GET /metrics":                        {{need: "a page about everybody", request: get("/metrics")}},
	}
}

// matrixNode returns a node with the tenants a and b, and the key g/k in a.daily and public.
func matrixNode(t *testing.T) *governedNode {
	expired, retired := tokenOf("a.expired"), tokenOf("a.retired")
	expired.Secrets[0].Expires = time.Now().Add(-time.Second)
	retired.Retired = true
	documents := append(tenantOf("a"), tenantOf("b")...)
	documents = append(documents, expired, retired, grantsOn(govern.NamespaceScope("public"), "token:a.reader", govern.RoleReader, "token:a.releaser", govern.RoleReleaser))
	n := newGovernedNode(t, documents...)
	// They had rights, and would have them.
	n.commit(setOf(t, grantsOn(govern.EnvironmentScope("a", "daily"), "token:a.expired", govern.RoleAdministrator, "token:a.retired", govern.RoleAdministrator)))
	time.Sleep(time.Minute) // fake time: the server reads it
	n.restore(0)
	return n
}

func (n *governedNode) revision() int64 { return n.centre.Status().Position.Revision }

// restore puts back what a request has changed since a revision.
func (n *governedNode) restore(since int64) {
	n.t.Helper()
	if n.revision() == since {
		return
	}
	set := setOf(n.t, &govern.Namespace{ID: "a.daily", Tenant: "a", Environment: "daily"}, grantsOn(govern.AllScope(), "token:root", govern.RoleAdministrator))
	for _, namespace := range []string{"a.daily", "public"} {
		set.Drafts = append(set.Drafts, conf.Draft{Key: conf.Key{Namespace: namespace, Group: "g", DataID: "k"}, Content: canaryContent})
	}
	_, err := n.centre.As("token:root").Commit(n.t.Context(), &conf.CommitRequest{Set: set})
	require.NoError(n.t, err)
}

// tellsNothing checks that an answer to somebody without a right has neither a content, nor a
// digest, a revision or a size.
func tellsNothing(t *testing.T, w *httptest.ResponseRecorder, what ...any) {
	t.Helper()
	text := w.Body.String() + headersOf(w)
	for _, secret := range []string{canaryContent, conf.MD5Hex(canaryContent), `"revision"`, `"size"`, "Diamond-Revision", "Diamond-Md5", "Etag", "Last-Modified"} {
		assert.NotContains(t, text, secret, what...)
	}
}

func headersOf(w *httptest.ResponseRecorder) string {
	var b strings.Builder
	_ = w.Header().Write(&b) // sorted
	return b.String()
}

func has(list, name string) bool { return strings.Contains(" "+list+" ", " "+name+" ") }

// refusal returns the status that somebody gets who may not.
func (r *row) refusal(identity string) int {
	switch {
	case r.details, r.perKey && !has(invalid, identity):
		return http.StatusOK
	case has(invalid, identity) && needs[r.need].right != httpserve.RightPeer:
		return http.StatusUnauthorized
	}
	return http.StatusForbidden
}

// eachRow calls f for each row and identity, with a node that is as it was.
func eachRow(t *testing.T, f func(n *governedNode, route, identity string, r *row, may bool)) {
	synctest.Test(t, func(t *testing.T) {
		n := matrixNode(t)
		for route, rows := range matrix(t) {
			for i := range rows {
				for identity := range identities {
					if has(invalid, identity) {
						time.Sleep(time.Minute) // fake time: unknown proofs of one address are limited
					}
					at := n.revision()
					f(n, route, identity, &rows[i], has(needs[rows[i].need].who, identity))
					n.restore(at)
				}
			}
		}
	})
}

// TestX1_RouteByIdentity asks each route of a node, of every protocol, as everybody. A route
// that is not in the table fails, as does a row without a route.
func TestX1_RouteByIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, rows := matrixNode(t), matrix(t)
		for route, right := range n.routes() {
			assert.NotEmpty(t, rows[route], "a route that is not in the table: %s", route)
			for _, r := range rows[route] {
				require.Contains(t, needs, r.need)
				assert.Equal(t, needs[r.need].right, right, "%s: what the route says of itself", route)
			}
		}
		assert.Len(t, rows, len(n.routes()), "a row without a route")
	})
	eachRow(t, func(n *governedNode, route, identity string, r *row, may bool) {
		q, at := r.request("k"), n.revision()
		w := n.send(q, identities[identity])
		if may {
			assert.Less(t, w.Code, 300, "%s as %s, who may: %s", route, identity, w.Body)
			assert.NotContains(t, w.Body.String(), `{"denied"`, "%s as %s, who may", route, identity)
			return
		}
		assert.Equal(t, r.refusal(identity), w.Code, "%s %s as %s, who may not: %s", q.method, q.target, identity, w.Body)
		assert.Equal(t, at, n.revision(), "%s as %s: it changed something", route, identity)
		tellsNothing(t, w, "%s as %s", route, identity)
		if r.details {
			assert.Equal(t, "ready\n", w.Body.String(), "%s as %s", route, identity)
		}
		if w.Code == http.StatusUnauthorized {
			assert.NotEmpty(t, w.Header().Get("Www-Authenticate"), "%s as %s", route, identity)
		}

		// INV-14: it is the same whether or not there is anything.
		other := n.send(r.request("z"), identities[identity])
		assert.Equal(t, w.Code, other.Code, "%s as %s", route, identity)
		position := regexp.MustCompile(`Diamond-Position: .*`)
		assert.Equal(t, position.ReplaceAllString(strings.ReplaceAll(w.Body.String()+headersOf(w), "g/k", "g/z"), ""),
			position.ReplaceAllString(other.Body.String()+headersOf(other), ""), "%s as %s: it tells whether there is such a key", route, identity)
	})
}

// TestX1_OtherMethods: a method that is not in the table is refused for everybody, as is HEAD
// where GET is.
func TestX1_OtherMethods(t *testing.T) {
	eachRow(t, func(n *governedNode, route, identity string, r *row, may bool) {
		q, at := r.request("k"), n.revision()
		routes := n.routes()
		_, path, _ := strings.Cut(route, " ")
		path, _, _ = strings.Cut(path, "?")
		for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "Put", "PROPFIND", "X"} {
			_, known := routes[method+" "+path]
			_, get := routes["GET "+path]
			if known || method == "HEAD" && get && q.method != "GET" {
				continue // it has its own row, or GET has
			}
			other := q
			other.method = method
			w := n.send(other, identities[identity])
			if method == "HEAD" && get {
				if may {
					assert.Less(t, w.Code, 300, "HEAD of %s as %s", route, identity)
				} else {
					assert.Equal(t, r.refusal(identity), w.Code, "HEAD of %s as %s", route, identity)
					tellsNothing(t, w, "HEAD of %s as %s", route, identity)
				}
				continue
			}
			assert.GreaterOrEqual(t, w.Code, 400, "%s of %s as %s", method, route, identity)
			tellsNothing(t, w, "%s of %s as %s", method, route, identity)
			assert.Equal(t, at, n.revision(), "%s of %s as %s: it changed something", method, route, identity)
		}
	})
}
