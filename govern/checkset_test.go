package govern

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
)

func setOf(t testing.TB, docs ...Document) *conf.ChangeSet {
	set := &conf.ChangeSet{}
	for _, d := range docs {
		content, err := Encode(d)
		require.NoError(t, err)
		set.Drafts = append(set.Drafts, conf.Draft{Key: d.Key(), Content: content})
	}
	return set
}

// keysIn tells of shop.daily that it has three keys.
func keysIn(namespace string) (int, int64) {
	if namespace == "shop.daily" {
		return 3, 30
	}
	return 0, 0
}

func TestDocumentsThatAreRefused(t *testing.T) {
	docs := append(shopSetup(),
		&User{Name: "gone", Retired: true}, &Token{Name: "gone", Retired: true}, &Team{Name: "gone", Retired: true},
		&Namespace{ID: "shop.old", Tenant: "shop", Environment: "production", Deleted: true},
		&Role{Name: "unused", Verbs: []string{"list"}},
		&Credentials{Generation: 0},
	)
	p := policyOf(t, docs...)
	app := func(hashes ...int) *Token {
		token := &Token{Name: "shop.new"}
		for _, h := range hashes {
			token.Secrets = append(token.Secrets, Secret{SHA256: hashOf(h)})
		}
		return token
	}
	root := Grant{Subject: "user:root", Role: RoleAdministrator}
	for _, c := range []struct {
		doc  Document
		want string // "" if it is accepted
	}{
		{&Tenant{Name: "new", Environments: []string{"a"}}, ""},
		{&Tenant{Name: "shop", Environments: []string{"production"}}, "environments: daily has the namespace shop.daily"},
		{&Tenant{Name: "shop", Environments: []string{"daily"}}, ""}, // production has only a deleted one
		{&Tenant{Name: "shop", Environments: []string{"daily"}, Deleted: true}, "deleted: it has namespaces: shop.daily"},
		{&Namespace{ID: "shop.new", Tenant: "shop", Environment: "production"}, ""},
		{&Namespace{ID: "shop.new", Tenant: "shop", Environment: "daily"}, "environment: daily of tenant shop has the namespace shop.daily already"},
		{&Namespace{ID: "shop.new", Tenant: "shop", Environment: "pre"}, "environment: pre is none of tenant shop, which has daily, production"},
		{&Namespace{ID: "x.new", Tenant: "x", Environment: "pre"}, "tenant: x does not exist"},
		{&Namespace{ID: "new"}, "tenant: is empty"},
		{&Namespace{ID: "shop." + strings.Repeat("n", 95), Tenant: "shop", Environment: "production"}, ""},
		{&Namespace{ID: "shop." + strings.Repeat("n", 96), Tenant: "shop", Environment: "production"}, "id: 101 bytes, more than 100"},
		{&Namespace{ID: "shop.daily", Tenant: "bank", Environment: "daily"}, "tenant: never changes"},
		{&Namespace{ID: "shop.daily", Tenant: "shop", Environment: "production"}, "environment: never changes"},
		{&Namespace{ID: "shop.old", Tenant: "bank", Environment: "daily"}, "tenant: never changes"},
		{&Namespace{ID: "shop.old", Tenant: "shop", Environment: "production"}, ""},
		{&Namespace{ID: "shop.daily", Tenant: "shop", Environment: "daily", Deleted: true}, "deleted: it has 3 keys"},
		{&Namespace{ID: "bank.daily", Tenant: "bank", Environment: "daily", Deleted: true}, ""},
		{&Namespace{ID: "shop.never", Tenant: "shop", Environment: "daily", Deleted: true}, "deleted: it does not exist"},
		{&Namespace{ID: "public", Deleted: true}, "deleted: it always exists"},
		{&Role{Name: RoleAdministrator, Verbs: []string{"read", "force"}}, "verbs: must have administer"},
		{&Role{Name: RoleAdministrator, Verbs: []string{"administer"}}, ""},
		{&User{Name: "gone"}, "retired: stays true"},
		{&Token{Name: "gone"}, "retired: stays true"},
		{&Team{Name: "gone"}, "retired: stays true"},
		{&User{Name: "ann", Retired: true}, ""},
		{&User{Name: "root", Retired: true}, "must keep administer on everything"},
		{&User{Name: "ann", Generation: 1}, "generation: 1, more than that of the present epoch, 0"},
		{&Team{Name: "x.y"}, "name: belongs to tenant x, which does not exist"},
		{app(7), ""},
		{app(1), "secrets[0].sha256: is that of another token"},
		{app(7, 2), "secrets[1].sha256: is that of another token"},
		{&Grants{Scope: AllScope()}, "must keep administer on everything"},
		{&Grants{Scope: AllScope(), Grants: []Grant{{Subject: "user:nobody", Role: RoleAdministrator}}}, "must keep administer on everything"},
		{&Grants{Scope: AllScope(), Grants: []Grant{{Subject: "cert:dns:x", Role: RoleAdministrator}}}, "must keep administer on everything"},
		{&Grants{Scope: AllScope(), Grants: []Grant{{Subject: "token:deploy", Role: RoleAdministrator}}}, ""},
		{&Grants{Scope: AllScope(), Grants: []Grant{root, {Subject: "token:shop.app", Role: RoleAdministrator}}}, "token:shop.app belongs to tenant shop"},
		{&Grants{Scope: AllScope(), Grants: []Grant{root, {Subject: "team:shop.ops", Role: RoleAdministrator}}}, "team:shop.ops belongs to tenant shop"},
		{&Grants{Scope: AllScope(), Grants: []Grant{root, {Subject: "team:shop.ops", Role: RoleReader}}}, ""},
		{&Grants{Scope: TenantScope("bank"), Grants: []Grant{{Subject: "user:nobody", Role: "fly"}}}, `grants[0].role: "fly" does not exist`},
		{&Grants{Scope: TenantScope("bank"), Grants: []Grant{{Subject: "user:nobody", Role: RoleAdministrator}}}, ""},
		{&Grants{Scope: TenantScope("x"), Grants: []Grant{root}}, "scope: does not exist"},
		{&Grants{Scope: EnvironmentScope("shop", "pre"), Grants: []Grant{root}}, "scope: does not exist"},
		{&Grants{Scope: NamespaceScope("shop.old"), Grants: []Grant{root}}, "scope: does not exist"},
		{&Grants{Scope: NamespaceScope("shop.old")}, ""},
		{&Marker{Mode: ModeObserve}, ""},
		{&Marker{Mode: ModeClosed, Created: now}, "created and by: never change"},
		{&Credentials{Generation: 1}, "generation: 1, more than that of the present epoch, 0"},
		{&StoreSecret{Positions: make([]byte, 32)}, "not permitted"},
	} {
		_, err := p.checkDocuments("user:root", setOf(t, c.doc), false, keysIn, now)
		if c.want == "" {
			assert.NoError(t, err, "%+v", c.doc)
		} else {
			assert.ErrorContains(t, err, c.want, "%+v", c.doc)
		}
	}
	for _, c := range []struct{ kind, name, want string }{
		{KindUser, "ann", "set retired"}, {KindToken, "deploy", "set retired"}, {KindTeam, "shop.ops", "set retired"},
		{KindTenant, "bank", "set deleted"}, {KindNamespace, "bank.daily", "set deleted"},
		{KindCentre, "marker", "is never deleted"}, {KindRole, RoleAdministrator, "cannot be deleted"},
		{KindRole, RoleReader, "is granted on namespace:shop.daily"}, {KindRole, "unused", ""},
		{KindGrants, "tenant:shop", ""}, {KindGrants, "all", "must keep administer"},
	} {
		_, err := p.checkDocuments("user:root", &conf.ChangeSet{Deletes: []conf.Delete{{Key: KeyOf(c.kind, c.name)}}}, false, keysIn, now)
		if c.want == "" {
			assert.NoError(t, err, c.name)
		} else {
			assert.ErrorIs(t, err, conf.ErrInvalid)
			assert.ErrorContains(t, err, c.want, c.name)
		}
	}
}

func TestDocumentsOfLaterFormatAreNotOverwritten(t *testing.T) {
	p := policyOf(t, shopSetup()...)
	for content, want := range map[string]error{`{"format":2}`: conf.ErrUnavailable, `{"format":1,`: nil} {
		q, _ := p.apply(false, []conf.Change{{Key: KeyOf(KindTeam, "shop.ops"), Op: conf.OpPublish, Content: content, Revision: 2}}, p.at)
		_, err := q.checkDocuments("user:root", setOf(t, &Team{Name: "shop.ops"}), false, keysIn, now)
		assert.ErrorIs(t, err, want)
	}
}

// TestSeveralDocumentsCount: what a set creates is there for the rest of it, and what one
// document may not do alone, two may not do together.
func TestSeveralDocumentsCount(t *testing.T) {
	p := policyOf(t, shopSetup()...)
	check := func(docs ...Document) error {
		_, err := p.checkDocuments("user:root", setOf(t, docs...), false, keysIn, now)
		return err
	}
	assert.NoError(t, check(&Tenant{Name: "new", Environments: []string{"a"}}, &Namespace{ID: "new.a", Tenant: "new", Environment: "a"},
		&Token{Name: "new.app"}, &Role{Name: "fly", Verbs: []string{"list"}},
		&Grants{Scope: NamespaceScope("new.a"), Grants: []Grant{{Subject: "token:new.app", Role: "fly"}}}))
	assert.ErrorContains(t, check(&Namespace{ID: "shop.a", Tenant: "shop", Environment: "production"}, &Namespace{ID: "shop.b", Tenant: "shop", Environment: "production"}), "has the namespace")
	assert.ErrorContains(t, check(&Token{Name: "a", Secrets: []Secret{{SHA256: hashOf(8)}}}, &Token{Name: "b", Secrets: []Secret{{SHA256: hashOf(8)}}}), "another token")
	assert.ErrorContains(t, check(&Token{Name: "shop.app", Retired: true}, &Grants{Scope: AllScope(), Grants: []Grant{{Subject: "token:nobody", Role: RoleAdministrator}}}, &User{Name: "root", Retired: true}), "must keep")
	assert.ErrorContains(t, check(&Team{Name: "admins", Members: []string{"token:shop.app"}},
		&Grants{Scope: AllScope(), Grants: []Grant{{Subject: "user:root", Role: RoleAdministrator}, {Subject: "team:admins", Role: RoleAdministrator}}}), "token:shop.app belongs to tenant shop")
}

// Two servers that do not know of each other's sets yet must not give together what none of
// them may give: administer on everything to a token of a tenant.
func TestEscalationInTwoSteps(t *testing.T) {
	ops := &Team{Name: "ops"}
	helper := &Role{Name: "helper", Verbs: []string{"list"}}
	grants := &Grants{Scope: AllScope(), Grants: []Grant{{Subject: "user:root", Role: RoleAdministrator}, {Subject: "team:ops", Role: "helper"}}}
	p := policyOf(t, append(shopSetup(), ops, helper, grants)...)
	rests := func(docs ...Document) (keys []conf.Key) {
		out, err := p.checkDocuments("user:root", setOf(t, docs...), false, keysIn, now)
		require.NoError(t, err)
		for _, check := range out.checks {
			keys = append(keys, check.Key)
		}
		return keys
	}
	member := rests(&Team{Name: "ops", Members: []string{"token:shop.app"}})
	assert.Contains(t, member, helper.Key())
	assert.Contains(t, member, grants.Key())
	verb := rests(&Role{Name: "helper", Verbs: []string{"administer"}})
	assert.Contains(t, verb, ops.Key())
	assert.Contains(t, verb, grants.Key())
	granted := rests(&Grants{Scope: AllScope(), Grants: append(grants.Grants, Grant{Subject: "team:ops", Role: RoleAdministrator})})
	assert.Contains(t, granted, ops.Key())
	assert.NotContains(t, rests(&User{Name: "new"}), helper.Key(), "what gives nobody a right rests on no role")
}

// TestLastAdministratorIsOneWhoCanActNow: an expired, suspended or secretless token is none.
func TestLastAdministratorIsOneWhoCanActNow(t *testing.T) {
	for _, c := range []struct {
		what       string
		token      Token
		generation int64
		at         time.Time
		ok         bool
	}{
		{"valid", Token{Secrets: []Secret{{SHA256: hashOf(2), Expires: now.Add(time.Hour)}}}, 0, now, true},
		{"without an end", Token{Secrets: []Secret{{SHA256: hashOf(2)}}}, 0, now, true},
		{"expired", Token{Secrets: []Secret{{SHA256: hashOf(2), Expires: now}}}, 0, now, false},
		{"without a secret", Token{}, 0, now, false},
		{"retired", Token{Retired: true, Secrets: []Secret{{SHA256: hashOf(2)}}}, 0, now, false},
		{"suspended", Token{Secrets: []Secret{{SHA256: hashOf(2)}}}, 1, now, false},
	} {
		c.token.Name = "deploy"
		docs := append(shopSetup(), &c.token, &Team{Name: "admins", Members: []string{"token:deploy"}}, &Grants{Scope: AllScope(), Grants: []Grant{
			{Subject: "user:root", Role: RoleAdministrator}, {Subject: "team:admins", Role: RoleAdministrator}}})
		p, _ := newPolicy().apply(true, changesOf(t, 1, docs...), conf.Position{Epoch: conf.Epoch{Generation: c.generation}})
		out, err := p.checkDocuments("user:root", setOf(t, &User{Name: "root", Retired: true}), false, keysIn, c.at)
		if !c.ok {
			assert.ErrorContains(t, err, "must keep administer", c.what)
			continue
		}
		require.NoError(t, err, c.what)
		var keys []conf.Key
		for _, check := range out.checks {
			assert.EqualValues(t, 1, check.Revision)
			keys = append(keys, check.Key)
		}
		assert.ElementsMatch(t, []conf.Key{KeyOf(KindUser, "root"), KeyOf(KindGrants, "all"), KeyOf(KindRole, RoleAdministrator),
			KeyOf(KindTeam, "admins"), KeyOf(KindToken, "deploy")}, keys)
	}
	// Before the first administrator nothing is asked.
	_, err := newPolicy().checkDocuments("", setOf(t, &User{Name: "root"}), false, keysIn, now)
	assert.NoError(t, err)
}

func TestDeletingANamespaceWithKeysNeedsForce(t *testing.T) {
	p := policyOf(t, shopSetup()...)
	p, _ = p.apply(false, changesOf(t, 2, &Role{Name: "weak", Verbs: []string{"administer"}},
		&Grants{Scope: TenantScope("shop"), Grants: []Grant{{Subject: "user:ann", Role: RoleAdministrator}, {Subject: "user:eve", Role: "weak"}}}), p.at)
	set := setOf(t, &Namespace{ID: "shop.daily", Tenant: "shop", Environment: "daily", Deleted: true})
	_, err := p.checkDocuments("user:ann", set, true, keysIn, now)
	assert.ErrorContains(t, err, "comment: is empty")
	set.Comment = "moved"
	out, err := p.checkDocuments("user:ann", set, true, keysIn, now)
	require.NoError(t, err)
	assert.Contains(t, out.checks, conf.Check{Key: KeyOf(KindGrants, "tenant:shop"), Revision: 2})
	_, err = p.checkDocuments("user:eve", set, true, keysIn, now)
	assert.ErrorIs(t, err, conf.ErrDenied)
	assert.ErrorContains(t, err, "not permitted: force")
}

// A key stands once in a set, and the caller's own conditions stay. One of another revision
// than that of the decision is a conflict, and the caller's.
func TestConditionsGoWithTheSet(t *testing.T) {
	p := policyOf(t, shopSetup()...)
	set := setOf(t, &Namespace{ID: "shop.production", Tenant: "shop", Environment: "production"}, &User{Name: "ann", Description: "x"})
	set.Deletes = []conf.Delete{{Key: KeyOf(KindGrants, "namespace:shop.daily")}}
	set.Checks = []conf.Check{{Key: KeyOf(KindTenant, "shop"), Revision: 1}}
	set.Drafts[1].IfRevision = conf.Revision(1)
	out, err := p.checkDocuments("user:root", set, false, keysIn, now)
	require.NoError(t, err)
	out.rest(conf.Check{Key: KeyOf(KindUser, "root"), Revision: 1}, conf.Check{Key: KeyOf(KindUser, "root"), Revision: 1})
	planned := &plan{set: set, ours: make(map[conf.Key]bool)}
	require.NoError(t, planned.condition(out))
	with := planned.set
	require.NoError(t, with.Canonical().Validate(conf.DefaultMaxContent))
	require.Len(t, with.Drafts, 3)
	assert.EqualValues(t, 0, *with.Drafts[0].IfRevision, "must not exist")
	assert.EqualValues(t, 1, *with.Drafts[1].IfRevision, "the caller's")
	assert.Equal(t, KeyOf(KindTenant, "shop"), with.Drafts[2].Key)
	assert.EqualValues(t, 1, *with.Drafts[2].IfRevision, "the caller's")
	assert.EqualValues(t, 1, *with.Deletes[0].IfRevision)
	assert.Contains(t, with.Checks, conf.Check{Key: KeyOf(KindUser, "root"), Revision: 1})
	assert.NotContains(t, with.Checks, set.Checks[0])
	assert.Nil(t, set.Drafts[0].IfRevision, "the set of the caller has changed")
	assert.Len(t, set.Checks, 1)
	for key, ours := range map[conf.Key]bool{
		KeyOf(KindNamespace, "shop.production"): true, KeyOf(KindUser, "root"): true,
		KeyOf(KindUser, "ann"): false, KeyOf(KindTenant, "shop"): false,
	} {
		assert.Equal(t, ours, planned.ours[key], key)
	}

	set.Checks[0].Revision = 7
	planned = &plan{set: set, ours: make(map[conf.Key]bool)}
	err = planned.condition(out)
	require.ErrorIs(t, err, conf.ErrConflict)
	assert.True(t, planned.disputed)
	assert.False(t, planned.added(err))
}

func TestGuards(t *testing.T) {
	p := policyOf(t, shopSetup()...)
	with := func(change func(n *Namespace)) *policy {
		n := &Namespace{ID: "shop.daily", Tenant: "shop", Environment: "daily"}
		change(n)
		q, _ := p.apply(false, changesOf(t, 2, n), p.at)
		return q
	}
	key := func(id string) conf.Key { return conf.Key{Namespace: "shop.daily", Group: "g", DataID: id} }
	has := func(k conf.Key) (int64, bool) { return 10, strings.HasPrefix(k.DataID, "old") }
	put := func(ids ...string) *conf.ChangeSet {
		set := &conf.ChangeSet{}
		for _, id := range ids {
			set.Drafts = append(set.Drafts, conf.Draft{Key: key(id), Content: strings.Repeat("a", 12)})
		}
		return set
	}
	for _, c := range []struct {
		what   string
		change func(n *Namespace)
		set    *conf.ChangeSet
		want   string
	}{
		{"nothing", func(n *Namespace) {}, put("new"), ""},
		{"frozen", func(n *Namespace) { n.Frozen = &Freeze{By: "user:x", Reason: "fair"} }, put("old"), "frozen by user:x: fair"},
		{"frozen for deletes", func(n *Namespace) { n.Frozen = &Freeze{By: "user:x", Reason: "fair"} }, &conf.ChangeSet{Deletes: []conf.Delete{{Key: key("old")}}}, "frozen"},
		{"one key more", func(n *Namespace) { n.Quota.Keys = 3 }, put("new"), "keys: 4, more than the quota of 3"},
		{"as many keys", func(n *Namespace) { n.Quota.Keys = 4 }, put("new"), ""},
		{"an edit at the quota", func(n *Namespace) { n.Quota.Keys = 2 }, put("old"), ""},
		{"one for another", func(n *Namespace) { n.Quota.Keys = 3 }, &conf.ChangeSet{Drafts: put("new").Drafts, Deletes: []conf.Delete{{Key: key("old")}}}, ""},
		{"bytes of an edit", func(n *Namespace) { n.Quota.Bytes = 31 }, put("old"), "bytes: 32, more than the quota of 31"},
		{"bytes that fit", func(n *Namespace) { n.Quota.Bytes = 32 }, put("old"), ""},
		{"bytes that are freed", func(n *Namespace) { n.Quota.Bytes = 5 }, &conf.ChangeSet{Drafts: put("old").Drafts, Deletes: []conf.Delete{{Key: key("old2")}}}, ""},
		{"content", func(n *Namespace) { n.Quota.Content = 11 }, put("old"), "content: 12 bytes, more than the quota of 11"},
		{"content that fits", func(n *Namespace) { n.Quota.Content = 12 }, put("old"), ""},
	} {
		q := with(c.change)
		_, passed, err := q.guard("user:bob", c.set, false, keysIn, has)
		if c.want == "" {
			assert.NoError(t, err, c.what)
			continue
		}
		assert.ErrorIs(t, err, conf.ErrDenied, c.what)
		assert.ErrorContains(t, err, c.want, c.what)
		assert.Empty(t, passed)
		c.set.Comment = " "
		_, _, err = q.guard("user:ann", c.set, true, keysIn, has)
		assert.ErrorIs(t, err, conf.ErrInvalid, c.what)
		c.set.Comment = "because"
		_, _, err = q.guard("user:bob", c.set, true, keysIn, has)
		assert.ErrorIs(t, err, conf.ErrDenied, c.what)
		assert.ErrorContains(t, err, "not permitted: force on namespace shop.daily")
		checks, passed, err := q.guard("user:ann", c.set, true, keysIn, has)
		assert.NoError(t, err, c.what)
		assert.NotEmpty(t, checks)
		require.Len(t, passed, 1)
		assert.Equal(t, "shop.daily", passed[0].namespace)
		assert.Len(t, passed[0].names, 1)
	}
}

// A server that has not seen the deletion of a role can grant it. Who creates a role of that
// name again does not bring the grant to life.
func TestARoleDeletedAtAAndGrantedAtAStalledB(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		a := open(t, store, diamond.WithFeedInterval(24*time.Hour))
		fly := &Role{Name: "fly", Verbs: []string{"read"}}
		a.setUp(ModeClosed, append(team("a"), fly, token("a.new"))...)
		b := open(t, store, diamond.WithFeedInterval(24*time.Hour))
		grants := granted("public", "token:a.new", "fly")
		require.NoError(t, b.edit(root, grants))
		_, err := a.As(root).Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Deletes: []conf.Delete{{Key: fly.Key()}}}})
		require.NoError(t, err, "A does not know of the grant")
		c := open(t, store)
		for name, s := range map[string]*stage{"a": a, "b": b, "c": c} {
			require.ErrorContains(t, s.edit(root, fly), "role fly: was granted on namespace:public while it was deleted", name)
		}
		_, err = c.fetch("token:a.new", "public/g/k")
		isDenied(t, err, "public")
		require.NoError(t, c.edit(root, fly, granted("public", "token:a.new", "fly")), "in one set it is meant so")
		_, err = c.fetch("token:a.new", "public/g/k")
		require.NoError(t, err)
		require.NoError(t, c.edit(root, &Role{Name: "fly", Verbs: []string{"list"}}), "a role that exists")
	})
}
