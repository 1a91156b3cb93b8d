package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/govern/admin"
)

// payFiles are the files of a tenant, in a shape that people would write.
var payFiles = map[string]string{
	"pay.yaml": `
kind: tenant
name: pay
owner: ann
---
kind: namespace
tenant: pay
environment: daily
quota: {keys: 100}
---
kind: namespace
id: pay-live
tenant: pay
environment: production
`,
	"more/people.yml": `
kind: team
name: pay.devs
members:
  - user:bob
  - token:pay.ci
---
kind: token
name: pay.ci
addresses: [10.0.0.0/8]
---
kind: user
name: bob
`,
	"rights.json": `{"kind": "grants", "scope": "tenant:pay", "grants": [{"subject": "team:pay.devs", "role": "deployer"}]}`,
	"roles.yaml":  "kind: role\nname: deployer\nverbs: [read, release]\n",
	"README.md":   "not read",
	".hidden.yml": "kind: nonsense",
}

func TestApply_FromNothing(t *testing.T) {
	r := newRegistry(t)
	dir := t.TempDir()
	writeTree(t, dir, payFiles)
	out := r.client("apply", "-f", dir, "--dry-run")
	assert.Equal(t, exitNo, out.code, out.stderr)
	assert.Empty(t, out.stderr)
	assert.Equal(t, `create  role deployer
          verbs: + read,release
create  tenant pay
          environments: + daily,pre,production
          owner: + ann
create  namespace pay-live
          tenant: + pay
          environment: + production
create  namespace pay.daily
          tenant: + pay
          environment: + daily
          quota.keys: + 100
create  user bob
create  token pay.ci
          addresses: + 10.0.0.0/8
create  team pay.devs
          members: + user:bob,token:pay.ci
create  grants tenant:pay
          grants: + team:pay.devs deployer
8 to create, 0 to change, 0 to remove, 0 same, 0 drift
`, out.stdout)
	assert.Empty(t, r.Commits())

	assert.Contains(t, r.must("apply", "-f", dir, "--yes"), "applied 8 documents, revision 1\n")
	require.Len(t, r.Commits(), 1, "one set")
	assert.Equal(t, "apply", r.Commits()[0].Comment)
	r.has("tenant", "pay", `{"format":1,"environments":["daily","pre","production"],"owner":"ann"}`)
	r.has("namespace", "pay.daily", `{"format":1,"tenant":"pay","environment":"daily","quota":{"keys":100}}`)
	r.has("token", "pay.ci", `{"format":1,"addresses":["10.0.0.0/8"]}`)
	r.has("team", "pay.devs", `{"format":1,"members":["user:bob","token:pay.ci"]}`)
	r.has("grants", "tenant:pay", `{"format":1,"grants":[{"subject":"team:pay.devs","role":"deployer"}]}`)

	assert.Equal(t, "0 to create, 0 to change, 0 to remove, 8 same, 0 drift\n", r.must("apply", "-f", dir))
	out = r.client("apply", "-f", dir, "--dry-run")
	assert.Equal(t, exitOK, out.code)
	require.Len(t, r.Commits(), 1)
}

// What changes is what the files say. What they cannot say stays: secrets, unknown fields,
// a freeze.
func TestApply_ChangesAndKeeps(t *testing.T) {
	r := newRegistry(t)
	r.Write(t, govern.KeyOf("token", "pay.ci"), `{"format":1,"description":"old","secrets":[{"sha256":"`+strings.Repeat("ab", 32)+`","added":"2026-01-01T00:00:00Z","note":"n"}],"generation":3}`)
	r.Write(t, govern.KeyOf("namespace", "pay.daily"), `{"format":1,"tenant":"pay","environment":"daily","quota":{"keys":5,"bytes":9,"shards":2},"frozen":{"by":"user:ann","reason":"x"},"colour":"red"}`)
	r.Write(t, govern.KeyOf("grants", "tenant:pay"), `{"format":1,"grants":[{"subject":"user:a","role":"reader","until":"x"},{"subject":"user:b","role":"reader"}]}`)
	r.Write(t, govern.KeyOf("team", "pay.devs"), `{"format":1,"members":["user:b","user:a"]}`)
	file := writeFile(t, `
kind: token
name: pay.ci
---
{kind: namespace, id: pay.daily, tenant: pay, environment: daily, quota: {keys: 7, bytes: 9}}
---
kind: grants
scope: tenant:pay
grants:
- {subject: user:c, role: writer, }
- {subject: user:a, role: reader}
---
kind: team
name: pay.devs
members: [user:a, user:b]
`)
	out := r.must("apply", "-f", file, "-y")
	assert.Equal(t, `change  namespace pay.daily
          quota.keys: - 5  + 7
change  token pay.ci
          description: - old
change  grants tenant:pay
          grants: - user:b reader  + user:c writer
0 to create, 3 to change, 0 to remove, 1 same, 0 drift
applied 3 documents, revision 5
`, out)
	assert.JSONEq(t, `{"format":1,"secrets":[{"sha256":"`+strings.Repeat("ab", 32)+`","added":"2026-01-01T00:00:00Z","note":"n"}],"generation":3}`, r.Content(t, govern.KeyOf("token", "pay.ci")))
	assert.JSONEq(t, `{"format":1,"tenant":"pay","environment":"daily","quota":{"keys":7,"bytes":9,"shards":2},"frozen":{"by":"user:ann","reason":"x"},"colour":"red"}`, r.Content(t, govern.KeyOf("namespace", "pay.daily")))
	assert.JSONEq(t, `{"format":1,"grants":[{"subject":"user:a","role":"reader","until":"x"},{"subject":"user:c","role":"writer"}]}`, r.Content(t, govern.KeyOf("grants", "tenant:pay")))
	for _, d := range r.Commits()[0].Drafts {
		require.NotNil(t, d.IfRevision, d.Key)
		assert.Positive(t, *d.IfRevision, "on the condition of the plan")
	}
}

// Somebody changes a document between the plan and the commit: nothing of the set is done.
func TestApply_MovedSinceThePlan(t *testing.T) {
	r := newRegistry(t)
	dir := t.TempDir()
	writeTree(t, dir, payFiles)
	r.BeforeCommit(func(conf.ChangeSet) error {
		r.Write(t, govern.KeyOf("user", "bob"), `{"format":1,"description":"another"}`)
		return nil
	})
	out := r.client("apply", "-f", dir, "-y")
	assert.Equal(t, exitConflict, out.code)
	assert.Contains(t, out.stderr, "_govern/user/bob")
	assert.Contains(t, out.stderr, "apply again for a new plan (0 of 8 documents were applied)")
	r.has("tenant", "pay", "")
}

func TestApply_Drift(t *testing.T) {
	r := newRegistry(t)
	r.Write(t, govern.KeyOf("tenant", "old"), `{"format":1,"environments":["daily"]}`)
	r.Write(t, govern.KeyOf("tenant", "gone"), `{"format":1,"environments":["daily"],"deleted":true}`)
	r.Write(t, govern.KeyOf("role", "reader"), `{"format":1,"verbs":["read"]}`)
	r.Write(t, govern.KeyOf("role", "odd"), `{"format":1,"verbs":["read"]}`)
	r.Write(t, govern.KeyOf("user", "eve"), `{"format":1}`)
	r.Write(t, govern.KeyOf("centre", "marker"), `{"format":1,"mode":"closed"}`)
	file := writeFile(t, "{kind: tenant, name: pay}\n---\n{kind: role, name: mine, verbs: [list]}\n")
	out := r.client("apply", "-f", file, "--dry-run")
	assert.Equal(t, exitNo, out.code)
	assert.Contains(t, out.stdout, "drift   role odd\n")
	assert.Contains(t, out.stdout, "drift   tenant old\n")
	assert.Contains(t, out.stdout, "2 to create, 0 to change, 0 to remove, 0 same, 2 drift\n")
	assert.NotContains(t, out.stdout, "eve", "a kind that no file has")
	r.must("apply", "-f", file, "-y")
	r.has("role", "odd", `{"format":1,"verbs":["read"]}`)
	out = r.client("apply", "-f", file, "--dry-run")
	assert.Equal(t, exitNo, out.code, "drift is a difference")
	var result appliedOut
	require.NoError(t, json.Unmarshal([]byte(r.must("apply", "-f", file, "-y", "-o", "json")), &result))
	assert.Equal(t, 0, result.Applied)
	assert.Equal(t, 2, result.Plan.count(actionDrift))
}

// What no file has is removed on demand, but not the token that does it.
func TestApply_Prune(t *testing.T) {
	r := newRegistry(t)
	r.Write(t, govern.KeyOf("token", "me"), `{"format":1}`)
	r.Write(t, govern.KeyOf("token", "other"), `{"format":1}`)
	r.Write(t, govern.KeyOf("user", "old"), `{"format":1}`)
	r.Write(t, govern.KeyOf("team", "old"), `{"format":1}`)
	r.Write(t, govern.KeyOf("grants", "tenant:pay"), `{"format":1,"grants":[]}`)
	file := writeFile(t, "{kind: token, name: ci}\n---\n{kind: user, name: a}\n---\n{kind: team, name: a}\n---\n{kind: grants, scope: all, grants: []}\n")
	out := r.client("apply", "-f", file, "--dry-run", "--prune")
	assert.Equal(t, exitNo, out.code)
	for _, retired := range []string{"token other", "user old", "team old"} {
		assert.Contains(t, out.stdout, "retire  "+retired+"\n")
	}
	assert.Contains(t, out.stdout, "drift   token me\n")
	assert.Contains(t, out.stdout, "remove  grants tenant:pay\n")
	assert.Contains(t, out.stdout, "4 to create, 0 to change, 4 to remove, 0 same, 1 drift\n")
	assert.Empty(t, r.Commits())
	assert.Contains(t, r.must("apply", "-f", file, "--prune", "-y"), "applied 8 documents")
	r.has("token", "other", `{"format":1,"retired":true}`)
	r.has("token", "me", `{"format":1}`)
	r.has("grants", "tenant:pay", "")
}

// storedOf returns documents as a server would list them.
func storedOf(t *testing.T, docs ...govern.Document) map[conf.Key]admin.Stored {
	t.Helper()
	all := map[conf.Key]admin.Stored{}
	for i, doc := range docs {
		all[doc.Key()] = admin.Stored{Document: doc, Revision: int64(i + 1)}
	}
	return all
}

func TestPlan_Prune(t *testing.T) {
	present := storedOf(t, &govern.Tenant{Name: "old", Environments: []string{"a"}}, &govern.Role{Name: "odd", Verbs: []string{"read"}},
		&govern.Token{Name: "ci"}, &govern.Token{Name: "me"}, &govern.Team{Name: "t", Members: []string{"user:a"}},
		&govern.Grants{Scope: govern.AllScope()}, &govern.Namespace{ID: "old.a", Tenant: "old", Environment: "a"},
		&govern.Namespace{ID: "public"})
	scope := govern.TenantScope("x")
	files := []wanted{
		{doc: &govern.Tenant{Name: "x", Environments: []string{"a"}}}, {doc: &govern.Role{Name: "x", Verbs: []string{"read"}}},
		{doc: &govern.Token{Name: "x"}}, {doc: &govern.Team{Name: "x"}}, {doc: &govern.Grants{Scope: scope}},
		{doc: &govern.Namespace{ID: "x.a", Tenant: "x", Environment: "a"}},
	}
	p, problems := makePlan(files, present)
	require.Empty(t, problems)
	assert.Equal(t, 7, p.count(actionDrift), "not public")
	require.NoError(t, p.prune(present, "token:me"))
	assert.Equal(t, 6, p.count(actionRemove))
	assert.Equal(t, 1, p.count(actionDrift))
	sets := p.sets("why")
	require.Len(t, sets, 1)
	var order []string
	for _, d := range sets[0].Drafts {
		order = append(order, d.Key.Group+"/"+d.Key.DataID)
		if !strings.HasSuffix(d.Key.DataID, "x") && !strings.Contains(d.Key.DataID, "x.") {
			assert.Positive(t, *d.IfRevision, d.Key)
			assert.Regexp(t, `"(retired|deleted)": true`, d.Content)
		}
	}
	assert.Equal(t, []string{
		"role/x", "tenant/x", "namespace/x.a", "token/x", "team/x", "grants/tenant:x",
		"team/t", "token/ci", "namespace/old.a", "tenant/old",
	}, order)
	require.Len(t, sets[0].Deletes, 2)
	assert.Equal(t, "grants", sets[0].Deletes[0].Key.Group, "grants before the roles that they name")
	assert.EqualValues(t, 6, *sets[0].Deletes[0].IfRevision)
	require.NoError(t, sets[0].Canonical().Validate(diamond.DefaultMaxContent))
}

func TestPlan_Problems(t *testing.T) {
	present := storedOf(t, &govern.User{Name: "a", Retired: true}, &govern.Namespace{ID: "n", Tenant: "t", Environment: "e"},
		&govern.Namespace{ID: "gone", Tenant: "t", Environment: "e", Deleted: true}, &govern.Tenant{Name: "t", Environments: []string{"e"}, Deleted: true, Owner: "o"})
	_, problems := makePlan([]wanted{
		{&govern.User{Name: "a"}, "f line 1"}, {&govern.Namespace{ID: "n", Tenant: "t", Environment: "f"}, "f line 2"},
		{&govern.Namespace{ID: "gone", Tenant: "u", Environment: "e"}, "f line 3"},
	}, present)
	require.Len(t, problems, 3)
	for _, n := range []*govern.Namespace{{ID: "n", Tenant: "u", Environment: "e"}, {ID: "gone", Tenant: "t", Environment: "f"}} {
		_, others := makePlan([]wanted{{doc: n}}, storedOf(t, &govern.Namespace{ID: "n", Tenant: "t", Environment: "e"},
			&govern.Namespace{ID: "gone", Tenant: "t", Environment: "e", Deleted: true})) // the plan of before has changed its own
		require.Len(t, others, 1, n.ID)
		assert.ErrorIs(t, others[0], diamond.ErrConflict)
	}
	assert.ErrorContains(t, problems[0], "f line 1: diamond: conflict: a: the user is retired")
	assert.ErrorContains(t, problems[1], "f line 2: diamond: conflict: namespace n: its tenant and environment never change")
	assert.ErrorContains(t, problems[2], "f line 3: diamond: conflict: namespace gone: was that of t e")

	p, problems := makePlan([]wanted{{doc: &govern.Tenant{Name: "t", Environments: []string{"e"}, Owner: "o"}}, {doc: &govern.Namespace{ID: "gone", Tenant: "t", Environment: "e"}}}, present)
	require.Empty(t, problems)
	assert.Equal(t, 2, p.count(actionCreate), "what was deleted can come back")
	for _, s := range p {
		assert.NotContains(t, s.draft.Content, "deleted", s.Name)
	}
	assert.EqualValues(t, 4, *p[0].draft.IfRevision)
}

// A plan that is too large for one set is several.
func TestPlan_Sets(t *testing.T) {
	var files []wanted
	for i := range 2000 {
		files = append(files, wanted{doc: &govern.User{Name: fmt.Sprintf("u%d", i)}})
	}
	p, problems := makePlan(files, nil)
	require.Empty(t, problems)
	sets := p.sets("")
	require.Equal(t, 3, len(sets), "sets")
	assert.Equal(t, 900, sets[0].Len())
	assert.Equal(t, 200, sets[2].Len())

	large := strings.Repeat("x", 1000)
	p = nil
	for i := range 800 {
		p = append(p, step{Action: actionCreate, draft: diamond.Draft{Key: conf.NewKey("g", fmt.Sprint(i)), Content: strings.Repeat(large, 100)}})
	}
	bytes := p.sets("why")
	for _, set := range bytes {
		require.NoError(t, set.Validate(conf.MaxSetBytes))
		assert.Equal(t, "why", set.Comment)
	}
	assert.LessOrEqual(t, len(bytes), 2*80_000_000/applySetBytes, "each set is about as large as it may be")
}

// The order of lists that are sets is no difference; that of environments is.
func TestPlan_OrderOfLists(t *testing.T) {
	present := storedOf(t, &govern.Role{Name: "r", Verbs: []string{"list", "read"}}, &govern.Tenant{Name: "t", Environments: []string{"a", "b"}})
	p, problems := makePlan([]wanted{{doc: &govern.Role{Name: "r", Verbs: []string{"read", "list"}}}, {doc: &govern.Tenant{Name: "t", Environments: []string{"b", "a"}}}}, present)
	require.Empty(t, problems)
	assert.Equal(t, actionSame, p[0].Action)
	assert.Equal(t, actionChange, p[1].Action)
	assert.Contains(t, p[1].draft.Content, "\"b\",\n    \"a\"")
}

// A list that only lost members is a difference: files take rights away, too.
func TestPlan_WhatIsTakenAway(t *testing.T) {
	present := storedOf(t, &govern.Role{Name: "r", Verbs: []string{"list", "read"}},
		&govern.Grants{Scope: govern.AllScope(), Grants: []govern.Grant{{Subject: "user:a", Role: "r"}, {Subject: "user:b", Role: "r"}}})
	p, problems := makePlan([]wanted{{doc: &govern.Role{Name: "r", Verbs: []string{"list"}}},
		{doc: &govern.Grants{Scope: govern.AllScope(), Grants: []govern.Grant{{Subject: "user:a", Role: "r"}}}}}, present)
	require.Empty(t, problems)
	require.Len(t, p, 2)
	assert.Equal(t, []fieldChange{{"verbs", "read", ""}}, p[0].Changes)
	assert.NotContains(t, p[0].draft.Content, "read")
	assert.Equal(t, []fieldChange{{"grants", "user:b r", ""}}, p[1].Changes)
	assert.NotContains(t, p[1].draft.Content, "user:b")
}

// The counts and the revision are those of all sets together, also when a later one fails.
func TestApply_SeveralSets(t *testing.T) {
	var b strings.Builder
	for i := range 901 {
		fmt.Fprintf(&b, "---\n{kind: user, name: u%d}\n", i)
	}
	users := writeFile(t, b.String())
	assert.Contains(t, newRegistry(t).must("apply", "-y", "-f", users), "applied 901 documents, revision 2\n")

	r := newRegistry(t)
	r.BeforeCommit(func(conf.ChangeSet) error {
		if len(r.Commits()) == 1 {
			return nil
		}
		return conf.ErrDenied
	})
	assert.Contains(t, r.client("apply", "-y", "-f", users).stderr, "(900 of 901 documents were applied)")
}

// Output for programs is no place for a question.
func TestApply_AsksOnlyInATable(t *testing.T) {
	r := newRegistry(t)
	out := r.clientWith("y\n", "apply", "-o", "json", "-f", writeFile(t, "kind: user\nname: a\n"))
	assert.Equal(t, exitUsage, out.code)
	assert.Contains(t, out.stderr, "give --yes or --dry-run")
	assert.Empty(t, r.Commits())
}

func TestApply_BadFiles(t *testing.T) {
	cases := map[string]struct{ file, says string }{
		"unknown field":        {"kind: tenant\nname: pay\nenviroments: [a]\n", "line 3: there is no field \"enviroments\"; there are kind, name, environments, description, owner"},
		"field of another":     {"kind: user\nname: ann\nmembers: []\n", "line 3: there is no field \"members\""},
		"secret of a token":    {"kind: token\nname: ci\nsecrets:\n- {sha256: canary}\n", "line 3: there is no field \"secrets\""},
		"state of a thing":     {"kind: user\nname: ann\nretired: true\n", "line 3: there is no field \"retired\""},
		"unknown in a part":    {"kind: namespace\ntenant: a\nenvironment: b\nquota:\n  keys: 1\n  kyes: 2\n", "line 6: there is no field \"quota.kyes\"; there are bytes, content, keys"},
		"unknown in a list":    {"kind: grants\nscope: all\ngrants:\n- subject: user:a\n  roll: reader\n", "line 5: there is no field \"grants[0].roll\""},
		"unknown kind":         {"kind: tenants\nname: pay\n", "line 1: kind: \"tenants\" is none of role, tenant,"},
		"the centre":           {"kind: centre\nname: marker\nmode: observe\n", "kind: \"centre\" is none of"},
		"no kind":              {"name: pay\n", "line 1: kind: is missing"},
		"no name":              {"kind: tenant\nowner: x\n", "line 1: name: is missing"},
		"no environment":       {"kind: namespace\ntenant: pay\n", "environment: is missing"},
		"name that is none":    {"kind: tenant\nname: Pay\n", "line 1: invalid: name of a tenant"},
		"bad value":            {"\nkind: role\nname: r\nverbs: [reed]\n", "line 2: invalid: role r: verbs: \"reed\""},
		"number for a list":    {"kind: role\nname: r\nverbs: 1\n", "line 3: verbs: is not a list"},
		"list for a text":      {"kind: role\nname: r\nverbs: [read]\ndescription: [a]\n", "line 4: description: is not a list"},
		"text for a number":    {"kind: namespace\ntenant: a\nenvironment: b\nquota: {keys: many}\n", "line 4: quota.keys: is not a whole number"},
		"text for a mapping":   {"kind: namespace\ntenant: a\nenvironment: b\nquota: many\n", "line 4: quota: is not a mapping"},
		"null":                 {"kind: user\nname: a\ndescription:\n", "line 3: description: is not a value"},
		"twice in a document":  {"kind: user\nname: a\nname: b\n", "line 3: name: stands twice"},
		"twice in the files":   {"kind: user\nname: a\n---\nkind: user\nname: a\n", "line 4: user a stands in"},
		"alias":                {"kind: role\nname: r\nverbs: &a [read]\ndescription: *a\n", "line 4: description: aliases are not allowed"},
		"not YAML":             {"kind: [", "is neither YAML nor JSON"},
		"not a mapping":        {"- kind: user\n", "line 1: is not a mapping with a kind"},
		"nothing":              {"# nothing\n", "has no documents"},
		"group prefix nowhere": {"kind: grants\nscope: all\ngrants: [{subject: user:a, role: reader, groupPrefix: x}]\n", "grants[0].groupPrefix"},
	}
	r := newRegistry(t)
	for name, c := range cases {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			out := invokeWith(t, "", []string{"GDIAMOND_SERVER=" + r.address}, "apply", "-y", "-f", writeFile(t, c.file))
			assert.Equal(t, exitError, out.code)
			assert.Contains(t, out.stderr, c.says)
			assert.NotContains(t, out.stderr, "canary")
			assert.Equal(t, 1, strings.Count(out.stderr, "\n"), "one line: %q", out.stderr)
			assert.Empty(t, out.stdout)
		})
	}
	t.Cleanup(func() { assert.Empty(t, r.Commits()) })
}

// All problems are told at once, and nothing is applied.
func TestApply_AllProblems(t *testing.T) {
	r := newRegistry(t)
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"a.yaml": "kind: user\nname: a\n---\nkind: user\nname: B\n", "b.json": `{"kind":"user"}`})
	out := r.client("apply", "-f", dir, "-y")
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stderr, filepath.Join(dir, "a.yaml")+" line 4: ")
	assert.Contains(t, out.stderr, filepath.Join(dir, "b.json")+" line 1: name: is missing")
	assert.Contains(t, out.stderr, "nothing was applied: there are 2 problems")
	assert.Empty(t, r.Commits())
}

func TestApply_Asks(t *testing.T) {
	r := newRegistry(t)
	file := writeFile(t, "kind: user\nname: a\n")
	for _, answer := range []string{"", "n\n", "yep\n"} {
		out := r.clientWith(answer, "apply", "-f", file)
		assert.Equal(t, exitError, out.code)
		assert.Contains(t, out.stderr, "Apply 1 documents? [y/N] ")
		assert.Contains(t, out.stderr, "nothing was applied")
	}
	assert.Empty(t, r.Commits())
	out := r.clientWith("y\n", "apply", "-f", file, "--comment", "why")
	assert.Equal(t, exitOK, out.code, out.stderr)
	assert.Equal(t, "why", r.Commits()[0].Comment)
}

func TestApply_MissingFile(t *testing.T) {
	r := newRegistry(t)
	out := r.client("apply", "-f", filepath.Join(t.TempDir(), "none"))
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stderr, "no such file")
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x.txt"), []byte("kind: user"), 0o600))
	assert.Contains(t, r.client("apply", "-f", dir).stderr, "has no documents")
}

func TestApply_Forced(t *testing.T) {
	r := newRegistry(t)
	out := r.client("apply", "-y", "-f", writeFile(t, "kind: user\nname: a\n"), "--force", "--comment", "why")
	require.Equal(t, exitOK, out.code, out.stderr)
	assert.True(t, r.Commits()[0].Force)
	assert.Equal(t, originApplying, r.Commits()[0].Origin)
}
