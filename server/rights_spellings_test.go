package server

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
)

// spellings returns other ways to write the target of a request.
func spellings(target string) (all []string) {
	path, query, _ := strings.Cut(target, "?")
	with := func(path string) string {
		if query == "" {
			return path
		}
		return path + "?" + query
	}
	escaped := func(s string) string {
		var b strings.Builder
		for i := range len(s) {
			fmt.Fprintf(&b, "%%%02x", s[i])
		}
		return b.String()
	}
	last := path[strings.LastIndexByte(path, '/')+1:]
	above := strings.TrimSuffix(path, last)
	for _, p := range []string{
		path + "/", path + "//", path + "/.", path + "/..", path + "/./", path + "%2f", path + "%2F..", path + "%252f", path + "%20", path + "+", path + "%00", path + "%09", path + "%0d%0a",
		path + ";x=1", path + "%3Bx=1", path + ".", path + "%2e", path + ".json", path + "~", path + "%23", path + "%3f", path + "\\", path + "%5c", path + "#x", path + "*",
		above + "/" + last, above + "./" + last, above + "x/../" + last, above + "%2e/" + last, above + "%2e%2e/" + last, above + escaped(last), above + strings.ToUpper(last), above + "%2f" + last, above + escaped(last[:1]) + last[1:],
		above + "%ef%bd%8b", above + "%c0%ab", above + "%25" + last, above + last + "%cc%81", above + "%u006b",
		"/" + path, "//" + path, "/." + path, "/.." + path, "/%2e" + path, "/x/.." + path, "/v1/position/.." + path, "/v1/position/%2e%2e" + path, "/livez/.." + path, "/livez;" + path, "/livez%2f.." + path, "/livez?" + path, "/diamond-server/.." + path, "/v1/configs/.." + path, "/v1/configs/public/g/../../.." + path,
		"/%76%31" + strings.TrimPrefix(path, "/v1"), strings.ToUpper(path), "/V1" + strings.TrimPrefix(path, "/v1"), strings.Replace(path, "a.daily", "A.daily", 1), strings.Replace(path, "a.daily", "a%2Edaily", 1), strings.Replace(path, "a.daily", "a.daily%20", 1),
		strings.Replace(path, "a.daily", "a.daily.", 1), strings.Replace(path, "a.daily", "%61.daily", 1), strings.Replace(path, "a.daily", "public/../a.daily", 1), strings.Replace(path, "a.daily", "*", 1), strings.Replace(path, "a.daily", "", 1), strings.Replace(path, "/g/", "/G/", 1),
		strings.Replace(path, "_govern", "%5fgovern", 1), strings.Replace(path, "_govern", "_GOVERN", 1), strings.ReplaceAll(path, "/", "%2f"), strings.ReplaceAll(path, "/", "//"), strings.ReplaceAll(path, "/", "\\"),
		"http://127.0.0.1" + path, "http://other.test" + path, "https://127.0.0.1" + path, "HTTP://x@127.0.0.1" + path, "http://127.0.0.1/" + path, "//127.0.0.1" + path,
	} {
		all = append(all, with(p))
	}
	for _, tail := range []string{"namespace=public", "namespace=b.daily", "namespace=a.daily", "dataId=k", "group=g", "x=1", "_method=PUT", "_method=DELETE", "access_token=" + tokenSecret("root"), "token=" + tokenSecret("root"), "as=token:root", "principal=token:root", ";namespace=a.daily", "%6eamespace=public", "namespace[]=a.daily", "NAMESPACE=a.daily", "", "verbose", "=", "%zz"} {
		if query == "" {
			all = append(all, path+"?"+tail)
		} else {
			all = append(all, path+"?"+query+"&"+tail, path+"?"+tail+"&"+query, path+"?"+query+";"+tail)
		}
	}
	if query != "" {
		all = append(all, path+"%3f"+query, path+"?"+strings.ToUpper(query), path+"?"+strings.ReplaceAll(query, "=", "%3d"), path+"?"+url.QueryEscape(query), path+"?"+query+"%20", path+"?"+query+"%00", path+"?"+query+"#")
	}
	return all
}

// TestX2_SpellingsUnderRights: no spelling of a request gets anybody what the plain one does
// not. A spelling that is refused may have any status; one that is served is for somebody who
// may, and shows or changes nothing else.
func TestX2_SpellingsUnderRights(t *testing.T) {
	asked, most := 0, 0
	eachRow(t, func(n *governedNode, route, identity string, r *row, may bool) {
		q, at := r.request("k"), n.revision()
		if may || strings.HasPrefix(needs[r.need].who, "none ") || identity == "root" {
			return
		}
		all := spellings(q.target)
		most = max(most, len(all))
		for _, target := range all {
			spelled := q
			spelled.target = target
			w := n.send(spelled, identities[identity])
			asked++
			tellsNothing(t, w, "%s %s as %s", q.method, target, identity)
			require.Equal(t, at, n.revision(), "%s %s as %s: it changed something", q.method, target, identity)
			switch {
			case strings.HasPrefix(target, "/livez?"):
			case r.details:
				assert.True(t, w.Code >= 400 || w.Body.String() == "ready\n", "%s as %s: %s", target, identity, w.Body)
			case r.perKey && w.Code == http.StatusOK && strings.Contains(w.Body.String(), `{"denied"`):
			case q.method == http.MethodPut || q.method == http.MethodDelete || q.method == http.MethodPost || strings.Contains(q.target, "_govern"):
				assert.GreaterOrEqual(t, w.Code, 400, "%s %s as %s: %s", q.method, target, identity, w.Body)
			case w.Code < 400: // it is another question, to which this one may know the answer
				assert.True(t, identity != "none" && !has(invalid, identity), "%s %s as %s: %s", q.method, target, identity, w.Body)
			}
		}
	})
	t.Logf("%d requests", asked)
	assert.Greater(t, most, 60)
}

// spoofs are headers that say who somebody is, or what was asked, to servers that trust them.
var spoofs = [][]string{
	{"X-HTTP-Method-Override", "DELETE"}, {"X-HTTP-Method", "PUT"}, {"X-Method-Override", "POST"},
	{"User-Agent", "Nacos-Server"}, {"serverIdentity", "security"}, {"X-Forwarded-For", "127.0.0.1"}, {"X-Real-IP", "127.0.0.1"}, {"Forwarded", "for=127.0.0.1;by=127.0.0.1"},
	{"X-Forwarded-User", "root"}, {"X-Remote-User", "token:root"}, {"Remote-User", "root"}, {"X-Original-URL", "/v1/position"}, {"X-Rewrite-URL", "/livez"}, {"X-Forwarded-Host", "localhost"},
	{"X-Forwarded-Prefix", "/livez"}, {"Diamond-Client", "id=root&app=admin&principal=token:root"}, {"Diamond-Origin", "console"}, {"Diamond-Principal", "token:root"}, {"Diamond-Force", "true"},
	{"Diamond-Cluster-Proof", "a.1.b.c"}, {"Diamond-Node", "1"}, {"X-Client-Cert", "root"}, {"X-SSL-Client-Verify", "SUCCESS"}, {"Proxy-Authorization", "Bearer " + tokenSecret("root")},
	{"X-Auth-Token", tokenSecret("root")}, {"accessToken", tokenSecret("root")}, {"Cookie", "token=" + tokenSecret("root") + "; __Host-session=" + tokenSecret("root")},
}

// TestX3_SpoofedTrustGivesNoRight: what a request says of itself gives nobody a right, and a
// second proof takes the first's.
func TestX3_SpoofedTrustGivesNoRight(t *testing.T) {
	eachRow(t, func(n *governedNode, route, identity string, r *row, may bool) {
		if may {
			return
		}
		q, at := r.request("k"), n.revision()
		for _, spoof := range spoofs {
			spoofed := q
			spoofed.headers = append(append([]string{}, q.headers...), spoof...)
			w := n.send(spoofed, identities[identity])
			if spoof[0] == "Diamond-Force" && w.Code == http.StatusBadRequest { // it asks for a reason
				continue
			}
			assert.Equal(t, r.refusal(identity), w.Code, "%s as %s with %s: %s", route, identity, spoof, w.Body)
			tellsNothing(t, w, "%s as %s with %s", route, identity, spoof)
			assert.Equal(t, at, n.revision(), "%s as %s with %s", route, identity, spoof)
		}
		if identity != "none" && needs[r.need].right == "decided by the server" {
			q.headers = append(append([]string{}, q.headers...), "Authorization", "Bearer "+tokenSecret("root"))
			assert.Equal(t, http.StatusUnauthorized, n.send(q, identities[identity]).Code, "%s as %s and root", route, identity)
		}
	})
}

// TestX26_Escalation: who has some rights gets no others by what documents and requests say.
func TestX26_Escalation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := matrixNode(t)
		content := func(d govern.Document) string { return setOf(t, d).Drafts[0].Content }
		admin := func(scope govern.Scope, subject string) string {
			return content(grantsOn(scope, subject, govern.RoleAdministrator))
		}
		at := n.revision()
		for name, c := range map[string]struct {
			who, path, body string
		}{
			"a reader grants itself":               {"a.reader", "grants/namespace:a.daily", admin(govern.NamespaceScope("a.daily"), "token:a.reader")},
			"a releaser grants itself":             {"a.releaser", "grants/namespace:a.daily", admin(govern.NamespaceScope("a.daily"), "token:a.releaser")},
			"a reader grants in a group only":      {"a.reader", "grants/namespace:a.daily", `{"format":1,"grants":[{"subject":"token:a.reader","role":"releaser","groupPrefix":"g"}]}`},
			"an administrator grants in all":       {"a.admin", "grants/all", admin(govern.AllScope(), "token:a.admin")},
			"an administrator grants in another":   {"a.admin", "grants/tenant:b", admin(govern.TenantScope("b"), "token:a.admin")},
			"an administrator grants in public":    {"a.admin", "grants/namespace:public", admin(govern.NamespaceScope("public"), "token:a.admin")},
			"an administrator takes a namespace":   {"a.admin", "namespace/b.daily", content(&govern.Namespace{ID: "b.daily", Tenant: "a", Environment: "pre"})},
			"an administrator gives a namespace":   {"a.admin", "namespace/a.daily", content(&govern.Namespace{ID: "a.daily", Tenant: "b", Environment: "daily"})},
			"an administrator moves a namespace":   {"a.admin", "namespace/a.daily", content(&govern.Namespace{ID: "a.daily", Tenant: "a", Environment: "production"})},
			"an administrator changes a role":      {"a.admin", "role/reader", content(&govern.Role{Name: "reader", Verbs: govern.Verbs()})},
			"an administrator makes a user":        {"a.admin", "user/joe", content(&govern.User{Name: "joe"})},
			"an administrator makes a global team": {"a.admin", "team/joes", content(&govern.Team{Name: "joes"})},
			"an administrator makes b's token":     {"a.admin", "token/b.mine", content(tokenOf("b.mine"))},
			"an administrator takes b's token":     {"a.admin", "token/b.admin", content(tokenOf("b.admin"))},
			"an administrator opens the store":     {"a.admin", "centre/marker", content(&govern.Marker{Mode: govern.ModeObserve})},
			"an administrator confirms old tokens": {"a.admin", "centre/credentials", content(&govern.Credentials{Generation: 9})},
			"a token adds a secret to itself":      {"a.reader", "token/a.reader", content(tokenOf("a.reader"))},
			"a token takes its expiry away":        {"a.expired", "token/a.expired", content(tokenOf("a.expired"))},
			"root writes the store's secret":       {"root", "centre/secret", content(&govern.StoreSecret{Positions: make([]byte, 32)})},
			"a scope in another spelling":          {"a.admin", "grants/tenant:A", `{"format":1,"grants":[]}`},
			"a field that stands twice":            {"a.admin", "grants/tenant:a", `{"format":1,"grants":[],"grants":[{"subject":"token:a.reader","role":"administrator"}]}`},
			"a field of a grant that stands twice": {"a.admin", "grants/tenant:a", `{"format":1,"grants":[{"subject":"token:a.admin","role":"administrator"},{"subject":"token:b.reader","role":"reader","role":"administrator"}]}`},
		} {
			w := n.send(wire{"PUT", "/v1/configs/_govern/" + c.path, nil, c.body}, tokenSecret(c.who))
			assert.Contains(t, []int{400, 401, 403}, w.Code, "%s: %s", name, w.Body)
			assert.Equal(t, at, n.revision(), "%s: it changed something: %s", name, w.Body)
			n.restore(at)
			at = n.revision()
		}

		// A field in another case is another field.
		w := n.send(wire{"PUT", "/v1/configs/_govern/grants/tenant:a", nil, `{"format":1,"grants":[{"subject":"token:a.admin","role":"administrator"}],"Grants":[{"subject":"token:a.reader","role":"administrator"}]}`}, tokenSecret("a.admin"))
		if w.Code == http.StatusOK {
			w = n.send(get("/v1/can?verb=administer&scope=tenant:a")(""), tokenSecret("a.reader"))
			assert.Contains(t, w.Body.String(), `"allowed":false`)
		}

		// Fields that stand twice in a frame of a set are one of them for the decision and the commit.
		for _, body := range []string{
			`{"op":"publish","key":"b.daily/g/k","key":"a.daily/g/k","length":1}` + "\nx\n",
			`{"op":"publish","key":"a.daily/g/k","key":"b.daily/g/k","length":1}` + "\nx\n",
			`{"op":"check","op":"publish","key":"a.daily/g/k","length":1}` + "\nx\n",
			`{"op":"publish","key":"b.daily/g/k","Key":"a.daily/g/k","length":1}` + "\nx\n",
		} {
			w := n.send(wire{"POST", "/v1/changesets", nil, body}, tokenSecret("b.releaser"))
			resp, err := n.centre.As("token:root").Fetch(t.Context(), &conf.FetchRequest{Key: conf.Key{Namespace: "a.daily", Group: "g", DataID: "k"}})
			require.NoError(t, err)
			assert.Equal(t, canaryContent, resp.Entry.Content, "%s: %s", body, w.Body)
		}
	})
}
