package govern

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/linnaname/gdiamond/conf"
)

// world is all documents, and what they permit by the words of the rules, computed anew for
// each question.
type world struct {
	docs       map[conf.Key]Document
	revisions  map[conf.Key]int64
	generation int64
}

func lookup[D Document](w *world, kind, name string) D { return as[D](w.docs[KeyOf(kind, name)]) }

func (w *world) known(principal string) bool {
	kind, name, _ := strings.Cut(principal, ":")
	switch kind {
	case "user":
		u := lookup[*User](w, KindUser, name)
		return u != nil && !u.Retired
	case "token":
		t := lookup[*Token](w, KindToken, name)
		if t == nil || t.Retired {
			return false
		}
		c := lookup[*Credentials](w, KindCentre, "credentials")
		return t.Generation >= w.generation || c != nil && c.Generation >= w.generation
	}
	for _, d := range w.docs {
		if g, ok := d.(*Grants); ok && slices.ContainsFunc(g.Grants, func(g Grant) bool { return g.Subject == principal }) {
			return true
		}
	}
	return false
}

// includes says which verbs a verb of a role stands for.
var includes = map[string]string{
	"list": "list", "read": "read list", "write": "write read list", "release": "release read list",
	"administer": "administer read list", "force": "force",
}

func (w *world) covers(granted Scope, namespace string, about Scope) bool {
	switch granted.Level {
	case LevelTenant, LevelEnvironment:
		t := lookup[*Tenant](w, KindTenant, granted.Tenant)
		if t == nil || t.Deleted || granted.Level == LevelEnvironment && !slices.Contains(t.Environments, granted.Environment) {
			return false
		}
	}
	if namespace == "" {
		return granted.Level == LevelAll || granted == about || granted.Level == LevelTenant && granted.Tenant == about.Tenant
	}
	n := lookup[*Namespace](w, KindNamespace, namespace)
	switch granted.Level {
	case LevelAll:
		return true
	case LevelTenant:
		return n.Tenant == granted.Tenant
	case LevelEnvironment:
		return n.Tenant == granted.Tenant && n.Environment == granted.Environment
	}
	return granted.Namespace == namespace
}

// permits decides about a key, or about a scope of a tenant if the key is zero.
func (w *world) permits(principal, verb string, key conf.Key, about Scope) bool {
	if key.Namespace != "" {
		if n := lookup[*Namespace](w, KindNamespace, key.Namespace); n == nil || n.Deleted {
			return false
		}
	}
	if !w.known(principal) {
		return false
	}
	for _, d := range w.docs {
		g, ok := d.(*Grants)
		if !ok || !w.covers(g.Scope, key.Namespace, about) {
			continue
		}
		for _, grant := range g.Grants {
			mine := grant.Subject == principal
			if name, ok := strings.CutPrefix(grant.Subject, "team:"); ok {
				t := lookup[*Team](w, KindTeam, name)
				mine = t != nil && !t.Retired && slices.Contains(t.Members, principal)
			}
			role := lookup[*Role](w, KindRole, grant.Role)
			if !mine || role == nil || !strings.HasPrefix(key.Group, grant.GroupPrefix) {
				continue
			}
			if slices.ContainsFunc(role.Verbs, func(v string) bool { return slices.Contains(strings.Fields(includes[v]), verb) }) {
				return true
			}
		}
	}
	return false
}

var (
	modelPrincipals = []string{"user:u1", "user:u2", "token:t1", "token:a.t", "cert:dns:x", Anonymous}
	modelSpaces     = []string{"a.daily", "a.pre", "b.daily", "x"}
	modelGroups     = []string{"g", "ga", "gab"}
	modelScopes     = []string{"all", "tenant:a", "tenant:b", "environment:a:daily", "environment:a:pre", "environment:b:daily",
		"namespace:a.daily", "namespace:a.pre", "namespace:b.daily", "namespace:x"}
)

// everything returns all decisions about a principal, in words.
func (w *world) everything(principal string) string {
	var b strings.Builder
	fmt.Fprint(&b, w.known(principal))
	for _, verb := range Verbs() {
		for _, ns := range modelSpaces {
			for _, group := range modelGroups {
				fmt.Fprint(&b, " ", w.permits(principal, verb, conf.Key{Namespace: ns, Group: group, DataID: "d"}, Scope{}))
			}
		}
		for _, s := range modelScopes[:6] {
			scope, _ := ParseScope(s)
			fmt.Fprint(&b, " ", w.permits(principal, verb, conf.Key{}, scope))
		}
	}
	return b.String()
}

func modelSetup() []Document {
	return []Document{
		&Tenant{Name: "a", Environments: []string{"daily", "pre"}}, &Tenant{Name: "b", Environments: []string{"daily"}},
		&Namespace{ID: "a.daily", Tenant: "a", Environment: "daily"}, &Namespace{ID: "a.pre", Tenant: "a", Environment: "pre"},
		&Namespace{ID: "b.daily", Tenant: "b", Environment: "daily"}, &Namespace{ID: "x"},
		&Role{Name: "r1", Verbs: []string{"read"}}, &Role{Name: "r2", Verbs: []string{"release", "administer"}},
		&User{Name: "u1"}, &User{Name: "u2"}, &Token{Name: "t1"}, &Token{Name: "a.t"},
		&Team{Name: "m1", Members: []string{"user:u1", "token:t1"}}, &Team{Name: "m2", Members: []string{"user:u2"}},
	}
}

func drawDocument(t *rapid.T, w *world) Document {
	pick := func(from ...string) string { return rapid.SampledFrom(from).Draw(t, "name") }
	some := func(from ...string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 1, 3, rapid.ID).Draw(t, "some")
	}
	yes := func() bool { return rapid.IntRange(0, 3).Draw(t, "yes") == 0 }
	generation := rapid.Int64Range(max(0, w.generation-1), w.generation).Draw(t, "generation")
	switch pick(KindTenant, KindNamespace, KindNamespace, KindRole, KindUser, KindToken, KindTeam, KindTeam, KindGrants, KindGrants, KindGrants, KindGrants, KindCentre) {
	case KindTenant:
		return &Tenant{Name: pick("a", "b"), Environments: some("daily", "pre"), Deleted: yes()}
	case KindNamespace:
		n := &Namespace{ID: pick(modelSpaces...), Deleted: yes()}
		if n.Tenant = pick("", "a", "b"); n.Tenant != "" {
			n.Environment = pick("daily", "pre")
		}
		return n
	case KindRole:
		return &Role{Name: pick("r1", "r2"), Verbs: some(Verbs()...)}
	case KindUser:
		return &User{Name: pick("u1", "u2"), Retired: yes()}
	case KindToken:
		return &Token{Name: pick("t1", "a.t"), Retired: yes(), Generation: generation}
	case KindTeam:
		return &Team{Name: pick("m1", "m2"), Retired: yes(), Members: some(modelPrincipals[:4]...)}
	case KindGrants:
		scope, _ := ParseScope(pick(modelScopes...))
		g := &Grants{Scope: scope}
		for _, subject := range some(append(modelPrincipals, "team:m1", "team:m2")...) {
			grant := Grant{Subject: subject, Role: pick("r1", "r2")}
			if scope.Level == LevelNamespace {
				grant.GroupPrefix = pick("", "g", "ga", "gab", "z")
			}
			g.Grants = append(g.Grants, grant)
		}
		return g
	}
	return &Credentials{Generation: generation}
}

// TestPolicyIsAsTheModel: whatever is written in whatever order, decisions are those that
// the documents give, nobody's change but for those named, and a decision holds as long as
// the documents that it names stay as they are.
func TestPolicyIsAsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{docs: make(map[conf.Key]Document), revisions: make(map[conf.Key]int64)}
		p := newPolicy()
		type claim struct {
			principal  string
			verb       Verb
			key        conf.Key
			generation int64
			checks     []conf.Check
		}
		var claims []claim
		for revision := int64(1); revision <= int64(rapid.IntRange(1, 25).Draw(t, "sets")); revision++ {
			before := make(map[string]string)
			for _, principal := range modelPrincipals {
				before[principal] = w.everything(principal)
			}
			if rapid.IntRange(0, 15).Draw(t, "fork") == 0 {
				w.generation++
			}
			var changes []conf.Change
			if revision == 1 { // so that most grants are about something
				for _, doc := range modelSetup() {
					changes = append(changes, changesOf(t, revision, doc)...)
					w.docs[doc.Key()], w.revisions[doc.Key()] = doc, revision
				}
			}
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				doc := drawDocument(t, w)
				key := doc.Key()
				if rapid.IntRange(0, 7).Draw(t, "delete") == 0 {
					changes = append(changes, conf.Change{Key: key, Op: conf.OpDelete, Revision: revision})
					delete(w.docs, key)
					delete(w.revisions, key)
					continue
				}
				content, err := Encode(doc)
				require.NoError(t, err)
				changes = append(changes, conf.Change{Key: key, Op: conf.OpPublish, Content: content, Revision: revision})
				w.docs[key], w.revisions[key] = doc, revision
			}
			at := conf.Position{Revision: revision, Epoch: conf.Epoch{Generation: w.generation}}
			var present []conf.Change
			for _, key := range slices.SortedFunc(maps.Keys(w.docs), conf.Key.Compare) {
				content, _ := Encode(w.docs[key])
				present = append(present, conf.Change{Key: key, Op: conf.OpPublish, Content: content, Revision: w.revisions[key]})
			}
			old, anew := p, (*policy)(nil)
			anew, _ = newPolicy().apply(true, present, at)
			var changed []string
			if rapid.IntRange(0, 9).Draw(t, "reset") == 0 {
				p, changed = p.apply(true, present, at)
			} else {
				p, changed = p.apply(false, changes, at)
			}
			require.True(t, slices.IsSorted(changed))
			for _, principal := range modelPrincipals {
				now := w.everything(principal)
				require.True(t, p.rights(principal).equal(anew.rights(principal)), "as computed anew: %s", principal)
				require.Equal(t, w.known(principal), p.rights(principal) != nil)
				if now != before[principal] {
					require.Contains(t, changed, principal)
				}
				require.Equal(t, !p.rights(principal).equal(old.rights(principal)), slices.Contains(changed, principal), principal)
				for _, v := range allVerbs {
					for _, ns := range append(modelSpaces, "unregistered") {
						whole, prefixes := p.rights(principal).within(v.verb, ns)
						listed := slices.Contains(slices.Collect(p.rights(principal).namespaces(v.verb)), ns)
						require.Equal(t, whole || len(prefixes) > 0, listed)
						for _, group := range modelGroups {
							key := conf.Key{Namespace: ns, Group: group, DataID: "d"}
							want := w.permits(principal, v.name, key, Scope{})
							require.Equal(t, want, p.rights(principal).can(v.verb, key), "%s %s %s", principal, v.name, key)
							require.Equal(t, want, whole || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(group, p) }))
							d := p.decide(principal, v.verb, key)
							require.Equal(t, want, d.allowed)
							require.Equal(t, want, len(d.checks) > 0)
							if want {
								claims = append(claims, claim{principal, v.verb, key, w.generation, d.checks})
							}
						}
					}
					for _, s := range modelScopes[:6] {
						scope, _ := ParseScope(s)
						if p.exists(scope) {
							require.Equal(t, w.permits(principal, v.name, conf.Key{}, scope), p.may(principal, v.verb, scope).allowed, "%s %s %s", principal, v.name, s)
						}
					}
				}
			}
			claims = slices.DeleteFunc(claims, func(c claim) bool {
				holds := c.generation == w.generation
				for _, check := range c.checks {
					holds = holds && w.revisions[check.Key] == check.Revision
				}
				if holds {
					require.True(t, p.decide(c.principal, c.verb, c.key).allowed, "%v though %v stayed", c, c.checks)
				}
				return !holds
			})
			if len(claims) > 200 {
				claims = claims[len(claims)-200:]
			}
		}
	})
}
