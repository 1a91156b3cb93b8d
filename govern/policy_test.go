package govern

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// now is when the tests of this package happen.
var now = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func hashOf(i int) string { return fmt.Sprintf("%064x", i) }

// shopSetup has two tenants, one of which has an administrator, and one token of each.
func shopSetup() []Document {
	docs := []Document{
		&Marker{Mode: ModeClosed},
		&Namespace{ID: "public"},
		&Tenant{Name: "shop", Environments: []string{"daily", "production"}},
		&Tenant{Name: "bank", Environments: []string{"daily"}},
		&Namespace{ID: "shop.daily", Tenant: "shop", Environment: "daily"},
		&Namespace{ID: "bank.daily", Tenant: "bank", Environment: "daily"},
		&User{Name: "root"}, &User{Name: "ann"}, &User{Name: "eve"}, &User{Name: "bob"},
		&Token{Name: "shop.app", Secrets: []Secret{{SHA256: hashOf(1), Expires: now.Add(time.Hour)}}},
		&Token{Name: "deploy", Secrets: []Secret{{SHA256: hashOf(2), Expires: now.Add(time.Hour)}}},
		&Team{Name: "shop.ops", Members: []string{"user:bob"}},
		&Grants{Scope: AllScope(), Grants: []Grant{{Subject: "user:root", Role: RoleAdministrator}}},
		&Grants{Scope: TenantScope("shop"), Grants: []Grant{{Subject: "user:ann", Role: RoleAdministrator}}},
		&Grants{Scope: NamespaceScope("shop.daily"), Grants: []Grant{
			{Subject: "token:shop.app", Role: RoleReader, GroupPrefix: "app"}, {Subject: "team:shop.ops", Role: RoleReleaser},
		}},
	}
	for _, r := range BuiltInRoles() {
		docs = append(docs, r)
	}
	return docs
}

func changesOf(t require.TestingT, revision int64, docs ...Document) (changes []conf.Change) {
	for _, d := range docs {
		content, err := Encode(d)
		require.NoError(t, err)
		changes = append(changes, conf.Change{Key: d.Key(), Op: conf.OpPublish, Content: content, Revision: revision})
	}
	return changes
}

func policyOf(t testing.TB, docs ...Document) *policy {
	p, _ := newPolicy().apply(true, changesOf(t, 1, docs...), conf.Position{Revision: 1})
	return p
}

func TestChangedNamesOnlyWhoIsConcerned(t *testing.T) {
	p := policyOf(t, shopSetup()...)
	for _, c := range []struct {
		what string
		doc  Document
		want []string
	}{
		{"a grant beside others", &Grants{Scope: NamespaceScope("shop.daily"), Grants: []Grant{
			{Subject: "token:shop.app", Role: RoleReader, GroupPrefix: "app"}, {Subject: "team:shop.ops", Role: RoleReleaser}, {Subject: "user:eve", Role: RoleReader},
		}}, []string{"user:eve"}},
		{"a narrower group prefix", &Grants{Scope: NamespaceScope("shop.daily"), Grants: []Grant{
			{Subject: "token:shop.app", Role: RoleReader, GroupPrefix: "app.web"}, {Subject: "team:shop.ops", Role: RoleReleaser},
		}}, []string{"token:shop.app"}},
		{"a role", &Role{Name: RoleReleaser, Verbs: []string{"release"}}, []string{"user:bob"}},
		{"a description", &Role{Name: RoleReleaser, Verbs: []string{"list", "read", "write", "release"}, Description: "x"}, nil},
		{"a member", &Team{Name: "shop.ops", Members: []string{"user:bob", "token:deploy"}}, []string{"token:deploy"}},
		{"a member less", &Team{Name: "shop.ops"}, []string{"user:bob"}},
		{"a retired team", &Team{Name: "shop.ops", Members: []string{"user:bob"}, Retired: true}, []string{"user:bob"}},
		{"a retired user", &User{Name: "ann", Retired: true}, []string{"user:ann"}},
		{"a quota", &Namespace{ID: "shop.daily", Tenant: "shop", Environment: "daily", Quota: Quota{Keys: 1}}, nil},
		{"a new namespace", &Namespace{ID: "shop.production", Tenant: "shop", Environment: "production"}, []string{"user:ann", "user:root"}},
		{"a namespace of another", &Namespace{ID: "bank.daily", Tenant: "bank", Environment: "daily", Deleted: true}, []string{"user:root"}},
		{"a secret", &Token{Name: "shop.app", Secrets: []Secret{{SHA256: hashOf(3)}}}, []string{"token:shop.app"}},
		{"a second secret", &Token{Name: "shop.app", Secrets: []Secret{{SHA256: hashOf(1), Expires: now.Add(time.Hour)}, {SHA256: hashOf(3)}}}, nil},
		{"an unknown subject", &Grants{Scope: NamespaceScope("bank.daily"), Grants: []Grant{{Subject: "user:nobody", Role: RoleReader}}}, nil},
		{"anonymous", &Grants{Scope: NamespaceScope("public"), Grants: []Grant{{Subject: Anonymous, Role: RoleReader}}}, []string{Anonymous}},
		{"the mode", &Marker{Mode: ModeObserve}, nil},
	} {
		next, changed := p.apply(false, changesOf(t, 2, c.doc), conf.Position{Revision: 2})
		assert.Equal(t, c.want, changed, c.what)
		_, revision := next.document(c.doc.Key())
		assert.EqualValues(t, 2, revision)
		_, revision = p.document(c.doc.Key())
		assert.Less(t, revision, int64(2), "%s: the policy of before has changed", c.what)
	}
	fork := conf.Position{Revision: 2, Epoch: conf.Epoch{Generation: 1}}
	forked, changed := p.apply(false, nil, fork)
	assert.Equal(t, []string{"token:deploy", "token:shop.app"}, changed)
	assert.Nil(t, forked.rights("token:shop.app"))
	confirmed, changed := forked.apply(false, changesOf(t, 3, &Credentials{Generation: 1}), fork)
	assert.Equal(t, []string{"token:deploy", "token:shop.app"}, changed)
	d := confirmed.decide("token:shop.app", VerbRead, conf.Key{Namespace: "shop.daily", Group: "app", DataID: "x"})
	assert.Contains(t, d.checks, conf.Check{Key: KeyOf(KindCentre, "credentials"), Revision: 3})
	_, changed = p.apply(true, changesOf(t, 9, shopSetup()...), conf.Position{Revision: 9})
	assert.Empty(t, changed, "the same again")
	_, changed = p.apply(true, nil, conf.Position{})
	assert.Equal(t, []string{"token:deploy", "token:shop.app", "user:ann", "user:bob", "user:eve", "user:root"}, changed)
}

func TestDecisionRestsOnFewDocuments(t *testing.T) {
	p := policyOf(t, shopSetup()...)
	key := conf.Key{Namespace: "shop.daily", Group: "app", DataID: "x"}
	keys := func(d decision) (names []string) {
		for _, c := range d.checks {
			assert.EqualValues(t, 1, c.Revision)
			names = append(names, c.Key.Group+"/"+c.Key.DataID)
		}
		return names
	}
	assert.Equal(t, []string{"grants/namespace:shop.daily", "namespace/shop.daily", "role/releaser", "team/shop.ops", "user/bob"}, keys(p.decide("user:bob", VerbRelease, key)))
	assert.Equal(t, []string{"grants/namespace:shop.daily", "namespace/shop.daily", "role/reader", "token/shop.app"}, keys(p.decide("token:shop.app", VerbRead, key)))
	assert.Equal(t, []string{"grants/all", "namespace/shop.daily", "role/administrator", "user/root"}, keys(p.decide("user:root", VerbForce, key)))
	assert.Equal(t, []string{"grants/tenant:shop", "namespace/shop.daily", "role/administrator", "tenant/shop", "user/ann"}, keys(p.decide("user:ann", VerbForce, key)))
	for _, principal := range []string{"", Anonymous, "user:nobody", "team:shop.ops", "nonsense", "token:app"} {
		assert.Nil(t, p.rights(principal), principal)
		assert.False(t, p.decide(principal, VerbList, key).allowed, principal)
	}
	key.Group = "ap"
	assert.False(t, p.decide("token:shop.app", VerbRead, key).allowed)
}

// TestPrefixesOfGroups: a grant on a prefix is one on every group that begins with it.
func TestPrefixesOfGroups(t *testing.T) {
	p := policyOf(t, append(shopSetup(), &Grants{Scope: NamespaceScope("bank.daily"), Grants: []Grant{
		{Subject: "user:eve", Role: RoleReader, GroupPrefix: "pay"}, {Subject: "user:eve", Role: RoleReader, GroupPrefix: "payroll"},
		{Subject: "user:eve", Role: RoleReleaser, GroupPrefix: "payroll"}, {Subject: "user:eve", Role: RoleReader, GroupPrefix: "web"}}})...)
	r := p.rights("user:eve")
	for group, want := range map[string]verbSet{
		"pa": 0, "p": 0, "pay": verbSet(VerbList | VerbRead), "payments": verbSet(VerbList | VerbRead), "xpay": 0,
		"payroll": verbSet(VerbList | VerbRead | VerbWrite | VerbRelease), "web": verbSet(VerbList | VerbRead),
	} {
		key := conf.Key{Namespace: "bank.daily", Group: group, DataID: "x"}
		for _, v := range allVerbs {
			assert.Equal(t, want.has(v.verb), r.can(v.verb, key), "%s %s", v.name, group)
			assert.Equal(t, want.has(v.verb), p.decide("user:eve", v.verb, key).allowed, "%s %s", v.name, group)
		}
	}
	whole, prefixes := r.within(VerbRead, "bank.daily")
	assert.False(t, whole)
	assert.Equal(t, []string{"pay", "web"}, prefixes)
	_, prefixes = r.within(VerbRelease, "bank.daily")
	assert.Equal(t, []string{"payroll"}, prefixes)
	assert.Equal(t, []string{"bank.daily"}, slices.Collect(r.namespaces(VerbRead)))
	assert.Empty(t, slices.Collect(r.namespaces(VerbForce)))
	assert.Equal(t, []string{"bank.daily", "public", "shop.daily"}, slices.Collect(p.rights("user:root").namespaces(VerbForce)))
	assert.True(t, p.rights("user:root").everything(VerbForce))
	assert.False(t, r.everything(VerbRead))
	prefix, err := ParseScope("namespace:bank.daily/payroll.x")
	require.NoError(t, err)
	assert.True(t, p.may("user:eve", VerbRelease, prefix).allowed)
	assert.False(t, p.may("user:eve", VerbRead, NamespaceScope("bank.daily")).allowed)
}

// TestAMemberThatLeftHasNoRights: nor has one whose team is retired.
func TestAMemberThatLeftHasNoRights(t *testing.T) {
	p := policyOf(t, shopSetup()...)
	key := conf.Key{Namespace: "shop.daily", Group: "g", DataID: "x"}
	require.True(t, p.rights("user:bob").can(VerbRelease, key))
	for _, team := range []*Team{{Name: "shop.ops", Members: []string{"user:eve"}}, {Name: "shop.ops", Members: []string{"user:bob"}, Retired: true}} {
		q, _ := p.apply(false, changesOf(t, 2, team), p.at)
		assert.False(t, q.rights("user:bob").can(VerbList, key))
		assert.False(t, q.decide("user:bob", VerbList, key).allowed)
	}
}

func TestTokenIsFoundByItsHash(t *testing.T) {
	p := policyOf(t, shopSetup()...)
	sum := func(i int) (h [32]byte) { h, _ = (&Secret{SHA256: hashOf(i)}).Hash(); return }
	token, secret := p.token(sum(1))
	require.NotNil(t, token)
	assert.Equal(t, "token:shop.app", token.Principal())
	assert.False(t, secret.Expired(now))
	assert.True(t, secret.Expired(now.Add(time.Hour)), "at that moment")
	token, _ = p.token(sum(9))
	assert.Nil(t, token)
	p, _ = p.apply(false, changesOf(t, 2, &Token{Name: "shop.app", Retired: true, Secrets: []Secret{{SHA256: hashOf(1)}}}), p.at)
	token, _ = p.token(sum(1))
	assert.Nil(t, token)
	p, _ = p.apply(false, changesOf(t, 3, &Token{Name: "deploy", Secrets: []Secret{{SHA256: hashOf(4)}}}), p.at)
	token, _ = p.token(sum(2))
	assert.Nil(t, token, "removed by a rotation")
}

// TestDocumentsRights is the table of who may read and write which documents.
func TestDocumentsRights(t *testing.T) {
	p := policyOf(t, shopSetup()...)
	p, _ = p.apply(false, changesOf(t, 2,
		&Grants{Scope: NamespaceScope("bank.daily"), Grants: []Grant{{Subject: "user:eve", Role: RoleReader, GroupPrefix: "x"}}},
		&Grants{Scope: EnvironmentScope("shop", "daily"), Grants: []Grant{{Subject: "token:deploy", Role: RoleAdministrator}}},
		&Namespace{ID: "shop.old", Tenant: "shop", Environment: "production", Deleted: true},
	), p.at)
	daily := Namespace{ID: "shop.daily", Tenant: "shop", Environment: "daily"}
	quota, deleted, frozen := daily, daily, daily
	quota.Quota.Keys, deleted.Deleted, frozen.Frozen = 5, true, &Freeze{By: "x", Reason: "y"}
	all := []string{"user:root", "user:ann", "token:deploy", "user:bob", "user:eve", "token:shop.app", Anonymous}
	for _, c := range []struct {
		write bool
		key   conf.Key
		fresh Document
		who   string
	}{
		{false, KeyOf(KindCentre, "secret"), nil, ""},
		{true, KeyOf(KindCentre, "secret"), &StoreSecret{}, ""},
		{false, KeyOf(KindCentre, "marker"), nil, "user:root user:ann token:deploy user:bob user:eve token:shop.app"},
		{true, KeyOf(KindCentre, "marker"), &Marker{}, "user:root"},
		{false, KeyOf(KindCentre, "credentials"), nil, "user:root"},
		{true, KeyOf(KindCentre, "credentials"), &Credentials{}, "user:root"},
		{false, KeyOf(KindTenant, "shop"), nil, "user:root user:ann token:deploy user:bob token:shop.app"},
		{false, KeyOf(KindTenant, "bank"), nil, "user:root user:eve"},
		{false, KeyOf(KindTenant, "nothing"), nil, "user:root"},
		{true, KeyOf(KindTenant, "shop"), &Tenant{Name: "shop"}, "user:root user:ann"},
		{true, KeyOf(KindTenant, "shop"), &Tenant{Name: "shop", Deleted: true}, "user:root"},
		{true, KeyOf(KindTenant, "new"), &Tenant{Name: "new"}, "user:root"},
		{false, KeyOf(KindNamespace, "shop.daily"), nil, "user:root user:ann token:deploy user:bob token:shop.app"},
		{false, KeyOf(KindNamespace, "bank.daily"), nil, "user:root user:eve"},
		{false, KeyOf(KindNamespace, "shop.old"), nil, "user:root user:ann"},
		{false, KeyOf(KindNamespace, "nothing"), nil, "user:root"},
		{true, KeyOf(KindNamespace, "shop.daily"), &frozen, "user:root user:ann token:deploy"},
		{true, KeyOf(KindNamespace, "shop.daily"), &quota, "user:root user:ann"},
		{true, KeyOf(KindNamespace, "shop.daily"), &deleted, "user:root user:ann"},
		{true, KeyOf(KindNamespace, "shop.old"), &Namespace{ID: "shop.old", Tenant: "shop", Environment: "production"}, "user:root user:ann"},
		{true, KeyOf(KindNamespace, "shop.x"), &Namespace{ID: "shop.x", Tenant: "shop"}, "user:root user:ann"},
		{true, KeyOf(KindNamespace, "x"), &Namespace{ID: "x", Tenant: "shop"}, "user:root"},
		{true, KeyOf(KindNamespace, "bank.daily"), &Namespace{ID: "bank.daily", Tenant: "shop"}, "user:root"},
		{false, KeyOf(KindRole, "reader"), nil, "user:root user:ann token:deploy"},
		{true, KeyOf(KindRole, "reader"), &Role{}, "user:root"},
		{false, KeyOf(KindUser, "eve"), nil, "user:root user:eve"},
		{true, KeyOf(KindUser, "eve"), &User{}, "user:root"},
		{false, KeyOf(KindToken, "shop.app"), nil, "user:root user:ann token:shop.app"},
		{true, KeyOf(KindToken, "shop.app"), &Token{}, "user:root user:ann"},
		{true, KeyOf(KindToken, "bank.app"), &Token{}, "user:root"},
		{true, KeyOf(KindToken, "deploy"), &Token{}, "user:root"},
		{false, KeyOf(KindTeam, "shop.ops"), nil, "user:root user:ann"},
		{true, KeyOf(KindTeam, "shop.ops"), &Team{}, "user:root user:ann"},
		{true, KeyOf(KindTeam, "ops"), &Team{}, "user:root"},
		{false, KeyOf(KindGrants, "all"), nil, "user:root"},
		{true, KeyOf(KindGrants, "tenant:shop"), &Grants{}, "user:root user:ann"},
		{true, KeyOf(KindGrants, "environment:shop:daily"), &Grants{}, "user:root user:ann token:deploy"},
		{true, KeyOf(KindGrants, "environment:shop:production"), &Grants{}, "user:root user:ann"},
		{true, KeyOf(KindGrants, "namespace:shop.daily"), &Grants{}, "user:root user:ann token:deploy"},
		{true, KeyOf(KindGrants, "namespace:bank.daily"), nil, "user:root"},
		{false, KeyOf("other", "x"), nil, "user:root"},
	} {
		for _, principal := range all {
			d := p.canDocument(principal, c.write, c.key, c.fresh)
			assert.Equal(t, slices.Contains(strings.Fields(c.who), principal), d.allowed, "%s write=%v %s", principal, c.write, c.key)
			if c.write && d.allowed {
				assert.NotEmpty(t, d.checks)
			}
		}
	}
}

func TestReadyNamesWhatCannotBeRead(t *testing.T) {
	p := policyOf(t, shopSetup()...)
	later := func(kind, name string) *policy {
		p, _ := p.apply(false, []conf.Change{{Key: KeyOf(kind, name), Op: conf.OpPublish, Content: `{"format":2}`, Revision: 2}}, p.at)
		return p
	}
	for _, c := range []struct{ kind, name, concerned string }{
		{KindNamespace, "shop.daily", "shop.daily"},
		{KindGrants, "namespace:shop.daily", "shop.daily"},
		{KindGrants, "environment:shop:daily", "shop.daily"},
		{KindGrants, "tenant:bank", "bank.daily"},
		{KindTenant, "bank", "bank.daily"},
		{KindGrants, "all", "public shop.daily bank.daily"},
		{KindRole, "x", "public shop.daily bank.daily"},
		{KindTeam, "x", "public shop.daily bank.daily"},
		{KindCentre, "marker", "public shop.daily bank.daily"},
		{KindUser, "ann", ""},
	} {
		q := later(c.kind, c.name)
		for _, ns := range []string{"public", "shop.daily", "bank.daily"} {
			err := q.ready(ns)
			if strings.Contains(c.concerned, ns) {
				assert.ErrorIs(t, err, conf.ErrUnavailable, "%s %s", c.kind, c.name)
				assert.ErrorContains(t, err, "format 2")
			} else {
				assert.NoError(t, err, "%s %s", c.kind, c.name)
			}
			assert.NoError(t, p.ready(ns))
		}
		q, _ = q.apply(false, changesOf(t, 3, shopSetup()...), q.at)
		if c.name != "x" && c.kind != KindGrants {
			assert.NoError(t, q.ready("shop.daily"), "written again")
		}
	}
	q := later(KindUser, "ann")
	assert.ErrorIs(t, q.readyFor("user:ann"), conf.ErrUnavailable)
	assert.NoError(t, q.readyFor("user:bob"))
	assert.NoError(t, q.readyFor(""))
}

// manyGrants has 10,000 users, 1,000 of whom have a grant.
func manyGrants(b *testing.B, together bool) *policy {
	docs := shopSetup()
	all := &Grants{Scope: NamespaceScope("shop.daily")}
	for i := range 10_000 {
		docs = append(docs, &User{Name: fmt.Sprint("u", i)})
		if i < 1000 {
			id := fmt.Sprint("n", i)
			grant := Grant{Subject: fmt.Sprint("user:u", i), Role: RoleReader}
			docs = append(docs, &Namespace{ID: id})
			if together {
				all.Grants = append(all.Grants, grant)
			} else {
				docs = append(docs, &Grants{Scope: NamespaceScope(id), Grants: []Grant{grant}})
			}
		}
	}
	return policyOf(b, append(docs, all)...)
}

func BenchmarkApplyGrant(b *testing.B) {
	b.Run("documents", func(b *testing.B) {
		p := manyGrants(b, false)
		change := changesOf(b, 2, &Grants{Scope: NamespaceScope("n7"), Grants: []Grant{{Subject: "user:u7", Role: RoleReleaser}}})
		for b.Loop() {
			if _, changed := p.apply(false, change, p.at); len(changed) != 1 {
				b.Fatal(changed)
			}
		}
	})
	b.Run("one document", func(b *testing.B) {
		p := manyGrants(b, true)
		doc, _ := p.document(KeyOf(KindGrants, "namespace:shop.daily"))
		grants := *as[*Grants](doc)
		grants.Grants = slices.Clone(grants.Grants)
		grants.Grants[7].Role = RoleReleaser
		change := changesOf(b, 2, &grants)
		for b.Loop() {
			if _, changed := p.apply(false, change, p.at); len(changed) != 1 {
				b.Fatal(changed)
			}
		}
	})
}

func BenchmarkCan(b *testing.B) {
	p := manyGrants(b, false)
	r := p.rights("user:u7")
	key := conf.Key{Namespace: "n7", Group: "g", DataID: "d"}
	b.ReportAllocs()
	for b.Loop() {
		if !r.can(VerbRead, key) {
			b.Fatal("denied")
		}
	}
}

// A grant of a role that does not exist gives nothing, not even to know of what it is on.
func TestGrantsOfNoRoleGiveNothing(t *testing.T) {
	s := governed(t, append(team("a"), token("x"))...)
	s.write(granted("a.daily", "token:x", "gone"), &Grants{Scope: TenantScope("a"), Grants: []Grant{{Subject: "token:x", Role: "gone"}}})
	for _, key := range []string{"_govern/namespace/a.daily", "_govern/tenant/a"} {
		_, err := s.fetch("token:x", key)
		assert.ErrorIs(t, err, conf.ErrDenied, key)
		_, err = s.fetch(root, key)
		assert.NoError(t, err, key)
	}
}
