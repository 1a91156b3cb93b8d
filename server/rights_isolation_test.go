package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
)

// hidden is what differs between two centres: the tenant that b may not see. Its name, its keys
// and contents differ, and how many there are. Tenant b asks for what is in one of them.
type hidden struct {
	tenant  string
	keys    int // in each set beside the first
	content string
}

// step is one thing that tenant b asks, and what the hidden tenant does then, or while b waits.
type step struct {
	who      string
	request  wire // POSITION stands for the newest position that b has
	parked   bool // b waits, for its own keys
	inside   string
	hiddenBy []int
}

// seenBy has what b may ask about: its own, what is a's, and what nobody has.
var seenBy = []string{
	"b.daily/g/k0", "b.daily/g/k1", "b.daily/g/mixed", "b.daily/gx/k", "b.daily/h/k", "a.daily/g/k0", "a.daily/g/k1", "a.daily/none/k", "a.pre/g/k0", "public/g/p", "none.daily/g/k0",
	"_govern/namespace/b.daily", "_govern/namespace/a.daily", "_govern/tenant/a", "_govern/tenant/b", "_govern/token/a.reader", "_govern/token/b.reader", "_govern/team/a.t",
	"_govern/grants/namespace:a.daily", "_govern/grants/namespace:b.daily", "_govern/grants/tenant:a", "_govern/role/reader", "_govern/centre/marker",
}

// scopes and subjects are those about which b asks what somebody may.
var (
	scopes   = []string{"all", "tenant:a", "tenant:b", "tenant:none", "environment:a:daily", "environment:b:daily", "namespace:a.daily", "namespace:b.daily", "namespace:none.daily"}
	subjects = []string{"", "&as=token:a.reader", "&as=token:b.reader", "&as=token:none", "&as=anonymous", "&as=user:joe", "&as=token:root"}
)

// corners are the steps that chance finds late: who may do what, and each key.
func corners() (steps []step) {
	for _, who := range []string{"", "b.reader", "b.prefix", "b.admin"} {
		for _, page := range []string{"/metrics", "/readyz?verbose", "/readyz", "/livez", "/version", "/v1/position", "/v1/whoami", "/openapi.yaml", "/none", "/v1/usage", "/v1/cluster", "/v1/clients", "/v1/clients?namespace=a.daily", "/v1/clients?namespace=none.daily", "/v1/clients?namespace=b.daily"} {
			steps = append(steps, step{who: who, request: wire{method: "GET", target: page}})
		}
		for _, scope := range scopes {
			for _, as := range subjects {
				steps = append(steps, step{who: who, request: wire{method: "GET", target: "/v1/can?verb=read&scope=" + scope + as}})
			}
		}
		for _, key := range seenBy {
			steps = append(steps, step{who: who, inside: key}, step{who: who, request: wire{method: "GET", target: "/v1/configs/" + key}}, step{who: who, request: wire{method: "GET", target: "/v1/listeners/" + key}})
		}
	}
	return steps
}

// drawStep draws a step.
func drawStep(t *rapid.T) (s step) {
	of := func(label string, list ...string) string { return rapid.SampledFrom(list).Draw(t, label) }
	key := func() string { return of("key", seenBy...) }
	own := func() string { return of("own", "b.daily/g/k0", "b.daily/g/k1", "b.daily/g/mixed") }
	number := func() int { return rapid.IntRange(0, 30).Draw(t, "number") }
	namespace := func() string { return of("namespace", "b.daily", "a.daily", "public", "none.daily", "*", "_govern") }
	s.who = of("who", "", "b.reader", "b.prefix", "b.releaser", "b.admin", "b.admin")
	s.hiddenBy = rapid.SliceOfN(rapid.IntRange(0, 6), 0, 3).Draw(t, "hidden")
	q := &s.request
	q.method = http.MethodGet
	switch rapid.IntRange(0, 22).Draw(t, "ask") {
	case 0:
		q.target = "/v1/configs/" + key()
	case 1:
		q.method, q.target = http.MethodHead, "/v1/configs/"+key()+"?after=POSITION"
	case 2:
		q.target = fmt.Sprintf("/v1/configs/%s?revision=%d", key(), number())
	case 3:
		q.target = fmt.Sprintf("/v1/history/%s?limit=%d", key(), 1+number())
	case 4:
		q.target = fmt.Sprintf("/v1/configs?namespace=%s&contents=true&limit=%d&after=%s", namespace(), 1+number()%4, key())
	case 5:
		q.target = fmt.Sprintf("/v1/configs?namespace=%s&group=%s", namespace(), of("group", "", "g", "namespace", "token"))
	case 6:
		q.method, q.target, q.body = http.MethodPut, fmt.Sprintf("/v1/configs/%s?ifRevision=%d", key(), number()), "x"
	case 7:
		q.method, q.target, q.body = http.MethodPut, "/v1/configs/"+key(), fmt.Sprint("x", number())
		q.headers = []string{"Idempotency-Key", fmt.Sprint("r", number()%3), "Diamond-Seen", "POSITION"}
	case 8:
		q.method, q.target = http.MethodDelete, "/v1/configs/"+key()
	case 9:
		q.method, q.target = http.MethodPost, "/v1/changesets"
		q.body = fmt.Sprintf(`{"op":"publish","key":%q,"length":1}`+"\ny\n"+`{"op":"check","key":%q,"revision":%d}`+"\n", own(), key(), number())
	case 10:
		q.method, q.target = http.MethodPost, "/v1/changesets"
		q.body = fmt.Sprintf(`{"op":"publish","key":%q,"length":1}`+"\ny\n"+`{"op":"publish","key":%q,"length":1,"ifRevision":%d}`+"\nz\n", own(), key(), number())
	case 11:
		one, two := key(), key()
		q.method, q.target, q.body = http.MethodPost, "/v1/poll", fmt.Sprintf(`{"keys":[%q,%q],"held":[{"key":%q,"revision":%d}]}`, one, two, one, number())
	case 12:
		q.method, q.target = http.MethodPost, "/v1/poll"
		q.body = fmt.Sprintf(`{"set":"%x"}`, conf.HashKeys([]conf.Key{{Namespace: "a.daily", Group: "g", DataID: "k0"}}))
	case 13: // it waits while a acts
		s.parked, s.who = true, of("waiter", "b.reader", "b.prefix", "b.admin")
		q.method, q.target, q.body = http.MethodPost, "/v1/poll", fmt.Sprintf(`{"keys":[%q],"position":"POSITION","wait":"3s"}`, own())
	case 14:
		s.parked, s.who = true, of("watcher", "b.reader", "b.prefix", "b.admin")
		q.target = "/v1/changes?namespace=" + of("watched", "b.daily", "*") + "&contents=true&wait=3s&after=POSITION"
	case 15:
		q.target = "/v1/changes?contents=true&namespace=" + namespace()
	case 16:
		q.target = "/v1/can?verb=" + of("verb", "list", "read", "release", "administer", "force") + "&scope=" +
			of("scope", scopes...) + of("as", subjects...)
	case 17:
		q.target = of("page", "/v1/cluster", "/v1/clients?namespace="+namespace(), "/v1/listeners/"+key(), "/metrics", "/readyz?verbose", "/readyz", "/v1/position", "/v1/whoami")
	case 18:
		switch of("original", "read", "poll", "report", "name") {
		case "read":
			q.target = "/diamond-server/config?group=g&dataId=" + of("id", "p", "k0")
		case "poll":
			q.method, q.target, q.headers, q.body = http.MethodPost, "/diamond-server/getProbeModify", form, "Probe-Modify-Request=p%2Cg%2C%3Bk0%2Cg%2C%3B"
		case "report":
			q.method, q.target, q.headers = http.MethodPost, "/v1/reports", []string{"Diamond-Client", "id=b"}
			q.body = fmt.Sprintf(`{"reports":[{"key":%q,"revision":1,"applied":true}]}`, key())
		case "name": // a document of b's that names what is a's, or nobody's
			s.who = "b.admin"
			q.method = http.MethodPut
			subject := of("subject", "token:a.reader", "token:none", "team:a.t", "user:joe", "team:none")
			q.target, q.body = "/v1/configs/_govern/grants/namespace:b.daily", `{"format":1,"grants":[{"subject":"token:b.reader","role":"reader"},{"subject":"token:b.releaser","role":"releaser"},{"subject":"`+subject+`","role":"reader"}]}`
			if rapid.Bool().Draw(t, "team") {
				q.target, q.body = "/v1/configs/_govern/team/b.t", `{"format":1,"members":["`+of("member", "token:a.reader", "token:none", "user:joe")+`"]}`
			}
		}
	case 19:
		s.inside = key()
	case 20: // what happened to a key, page by page
		q.target = fmt.Sprintf("/v1/history/%s?limit=%d&before=%d", key(), 1+number()%3, number())
	case 21: // a watch of a part, from where it was or from the beginning
		q.target = fmt.Sprintf("/v1/changes?contents=%t&namespace=%s&group=%s&prefix=%s&wait=0s&after=%s", rapid.Bool().Draw(t, "contents"), namespace(),
			of("group", "", "g", "gx", "h", "namespace", "token"), of("prefix", "", "k", "m", "a.", "b."), of("after", "", "POSITION", "POSITION"))
	case 22: // a list of a part, and how many there are
		q.target = fmt.Sprintf("/v1/configs?namespace=%s&group=%s&prefix=%s&limit=%d&contents=%t", namespace(), of("group", "", "g", "gx", "h", "grants", "team"), of("prefix", "", "k", "m", "a", "b"),
			1+number()%4, rapid.Bool().Draw(t, "contents"))
	}
	return s
}

// act does one thing in the hidden tenant, as one commit.
func (h *hidden) act(t *testing.T, n *governedNode, what, count int) {
	t.Helper()
	id := h.tenant + ".daily"
	var set conf.ChangeSet
	value := func(key string) {
		set.Drafts = append(set.Drafts, conf.Draft{Key: conf.Key{Namespace: id, Group: "g", DataID: key}, Content: fmt.Sprint(h.content, count)})
	}
	switch what {
	case 0, 1:
		value(fmt.Sprint("k", what))
	case 2:
		for i := range 1 + h.keys {
			value(fmt.Sprint("k", i))
		}
	case 3:
		set = setOf(t, grantsOn(govern.NamespaceScope(id), "token:"+h.tenant+".reader", govern.RoleReader, fmt.Sprintf("user:u%d", count), govern.RoleReader))
	case 4:
		set = setOf(t, tokenOf(fmt.Sprintf("%s.t%d", h.tenant, count)), &govern.Team{Name: h.tenant + ".t", Members: []string{"token:" + h.tenant + ".reader"}, Description: fmt.Sprint(count)})
	case 5, 6: // a commit for both, of which b sees its own part
		if what == 6 {
			value("k0")
		}
		for i := range h.keys {
			value(fmt.Sprint("m", i))
			set.Drafts = append(set.Drafts, conf.Draft{Key: conf.Key{Namespace: id, Group: "gx", DataID: fmt.Sprint("k", i)}, Content: h.content})
		}
		set.Drafts = append(set.Drafts, conf.Draft{Key: conf.Key{Namespace: "b.daily", Group: "g", DataID: "mixed"}, Content: fmt.Sprint("mixed", count)})
	}
	_, err := n.centre.As("token:root").Commit(t.Context(), &conf.CommitRequest{Set: set})
	require.NoError(t, err)
}

// positions are those in an answer.
var positions = regexp.MustCompile(`[A-Za-z0-9_-]{107}`)

// storeIDs are those of stores, which are random.
var storeIDs = regexp.MustCompile(`"store":"[0-9a-f]{32}"`)

// play plays the steps on a centre with a hidden tenant, and returns all that b has observed.
// Positions are shown by generation and revision: their other parts are random or sealed.
func play(t *testing.T, h hidden, steps []step) (observed []string) {
	synctest.Test(t, func(t *testing.T) {
		documents := append(tenantOf(h.tenant), tenantOf("b")...)
		prefixed := grantsOn(govern.NamespaceScope("b.daily"), "token:b.reader", govern.RoleReader, "token:b.releaser", govern.RoleReleaser, "token:b.prefix", govern.RoleReader)
		prefixed.Grants[2].GroupPrefix = "g"
		documents[len(tenantOf(h.tenant))+5] = prefixed
		documents = append(documents, tokenOf("b.prefix"))
		n := newGovernedNode(t, append(documents, grantsOn(govern.NamespaceScope("public"), "anonymous", govern.RoleReader))...)
		time.Sleep(time.Minute)
		began, count, newest := time.Now(), 0, ""
		h.act(t, n, 2, 0)
		own := conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.Key{Namespace: "b.daily", Group: "gx", DataID: "k"}, Content: "v"}, {Key: conf.Key{Namespace: "b.daily", Group: "h", DataID: "k"}, Content: "v"}}}
		_, err := n.centre.As("token:root").Commit(t.Context(), &conf.CommitRequest{Set: own}) // here, so that no answer waits for the feed
		require.NoError(t, err)
		for _, s := range steps {
			fill := strings.NewReplacer("POSITION", newest)
			q := s.request
			q.target, q.body, q.headers = fill.Replace(q.target), fill.Replace(q.body), append([]string{}, q.headers...)
			for j := range q.headers {
				q.headers[j] = fill.Replace(q.headers[j])
			}
			token := ""
			if s.who != "" {
				token = tokenSecret(s.who)
			}
			answer := make(chan string, 1)
			ask := func() {
				at := time.Now()
				text := n.inProcess(t, s)
				if s.inside == "" {
					w := n.send(q, token)
					text = fmt.Sprintf("%d %s%s", w.Code, headersOf(w), w.Body)
				}
				if s.parked {
					text += fmt.Sprint(" after ", time.Since(at))
				}
				answer <- text
			}
			if s.parked {
				go ask()
				synctest.Wait()
			} else {
				ask()
			}
			if !s.parked { // it waits on a grid of time, because how long a call of b's takes may differ
				pause(began, 5*time.Second, 2500*time.Millisecond)
			}
			for _, what := range s.hiddenBy {
				count++
				h.act(t, n, what, count)
				if s.parked {
					synctest.Wait() // it sees one commit at a time
				}
			}
			text := <-answer
			if found := positions.FindString(text); found != "" {
				newest = found
			}
			text = positions.ReplaceAllStringFunc(text, func(s string) string {
				p, err := conf.ParsePosition(s)
				require.NoError(t, err)
				return fmt.Sprintf("<%d.%d>", p.Epoch.Generation, p.Revision)
			})
			text = storeIDs.ReplaceAllString(text, `"store":""`)
			observed = append(observed, fmt.Sprintf("%s %s as %s: %s %s\n%s", s.request.method, s.request.target, s.who, s.request.body, s.inside, text))
			pause(began, 10*time.Second, 0)
		}
	})
	return observed
}

// pause sleeps until a later time that is a multiple of each after began, and at more.
func pause(began time.Time, each, at time.Duration) {
	since := time.Since(began)
	next := since.Truncate(each) + at
	for next <= since {
		next += each
	}
	time.Sleep(next - since) // fake time: it is called in a bubble
}

// inProcess asks the Centre itself about a key, and returns what it says.
func (n *governedNode) inProcess(t *testing.T, s step) string {
	if s.inside == "" {
		return ""
	}
	key, err := conf.ParseKey(s.inside)
	require.NoError(t, err)
	principal := ""
	if s.who != "" {
		principal = "token:" + s.who
	}
	srv := n.centre.As(principal)
	fetched, errFetch := srv.Fetch(t.Context(), &conf.FetchRequest{Key: key})
	_, errCommit := srv.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Checks: []conf.Check{{Key: key, Revision: 1}}, Drafts: []conf.Draft{{Key: key, Content: "x"}}}})
	_, errHistory := srv.History(t.Context(), &conf.HistoryRequest{Key: key})
	var b strings.Builder
	if fetched != nil {
		raw, err := json.Marshal(fetched.Entry)
		require.NoError(t, err)
		fmt.Fprintf(&b, "%v %s %d\n", fetched.Found, raw, fetched.Position.Revision)
	}
	for _, err := range []error{errFetch, errCommit, errHistory} {
		fmt.Fprintf(&b, "%v\n", err)
		if e, ok := err.(*conf.Error); ok {
			fmt.Fprintf(&b, "%s %s %s %d %v %v\n", e.Op, e.Key, e.Detail, e.Current, e.Remote, e.RetryAfter)
		}
	}
	return b.String()
}

// TestX27_NothingOfAIsObservableByB plays the same requests of tenant b at two centres that
// differ in nothing but another tenant. Every answer is the same, in every byte.
//
// Stated exceptions: revision numbers, so the other tenant commits as often at both; the time
// that b's own calls take, but for waits; the sealed parts of positions, which are random to b;
// and, not asked here, that an id of a namespace is taken shows when somebody makes one.
func TestX27_NothingOfAIsObservableByB(t *testing.T) {
	compare := func(steps []step) (difference string) {
		one := play(t, hidden{"a", 1, "secret"}, steps)
		two := play(t, hidden{"zz", 3, "another and longer secret"}, steps)
		for i := range one {
			if one[i] != two[i] {
				return fmt.Sprintf("step %d tells which tenant there is:\n%s\n---\n%s", i, one[i], two[i])
			}
		}
		return ""
	}
	require.Empty(t, compare(corners()))
	rapid.Check(t, func(rt *rapid.T) {
		difference := compare(rapid.SliceOfN(rapid.Custom(drawStep), 1, 25).Draw(rt, "steps"))
		if t.Failed() || difference != "" {
			rt.Fatal(difference)
		}
	})
}
