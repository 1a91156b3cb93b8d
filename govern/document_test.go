package govern

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// TestDocumentKeepsUnknownFields: what a newer program wrote survives a change by this one,
// at every level.
func TestDocumentKeepsUnknownFields(t *testing.T) {
	for _, c := range []struct{ kind, name, content string }{
		{KindTenant, "shop", `{"format":1,"environments":["daily"],"new":{"a":[1,null]}}`},
		{KindNamespace, "shop.daily", `{"format":1,"tenant":"shop","environment":"daily","quota":{"keys":1,"new":1.50},"frozen":{"by":"user:a","reason":"x","new":"<&>"},"new":true}`},
		{KindRole, "reader", `{"format":1,"verbs":["read"],"new":null}`},
		{KindUser, "ann", `{"format":1,"new":1e400}`},
		{KindToken, "shop.app", `{"format":1,"secrets":[{"sha256":"` + strings.Repeat("ab", 32) + `","new":1}],"Retired":true}`},
		{KindTeam, "shop.ops", `{"format":1,"members":["user:ann"],"new":[]}`},
		{KindGrants, "namespace:shop.daily", `{"format":1,"grants":[{"subject":"user:ann","role":"reader","new":{"b":1,"a":2}}],"new":1}`},
		{KindCentre, "marker", `{"format":1,"mode":"closed","new":1}`},
		{KindCentre, "credentials", `{"format":1,"generation":0,"new":1}`},
	} {
		t.Run(c.kind, func(t *testing.T) {
			doc, err := ParseDocument(KeyOf(c.kind, c.name), c.content)
			require.NoError(t, err)
			assert.Equal(t, KeyOf(c.kind, c.name), doc.Key())
			first, err := Encode(doc)
			require.NoError(t, err)
			assert.JSONEq(t, strings.ReplaceAll(c.content, "1e400", "1e9"), strings.ReplaceAll(first, "1e400", "1e9"))
			assert.True(t, strings.HasPrefix(first, "{\n  \"format\": 1,\n") && strings.HasSuffix(first, "\n}\n"), first)
			again, err := ParseDocument(doc.Key(), first)
			require.NoError(t, err)
			second, err := Encode(again)
			require.NoError(t, err)
			assert.Equal(t, first, second)
		})
	}
}

func TestDocumentNamesFieldAndRule(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	for _, c := range []struct{ kind, name, content, want string }{
		{KindUser, "ann", `{"format":1,"retired":true,"retired":false}`, "user ann: \"retired\": stands twice"},
		{KindUser, "ann", `{"format":1,"x":{"a":1,"\u0061":2}}`, `"x.a": stands twice`},
		{KindUser, "ann", `{"format":1} {}`, "text after its end"},
		{KindUser, "ann", `{"format":1`, "is not JSON: unexpected end"},
		{KindUser, "ann", `[]`, "document: is not an object"},
		{KindUser, "ann", `null`, "document: is not an object"},
		{KindUser, "ann", `{}`, "format: is not 1"},
		{KindUser, "ann", `{"format":0}`, "format: is not 1"},
		{KindUser, "ann", `{"format":1,"retired":null}`, "retired: is null"},
		{KindUser, "ann", `{"format":1,"retired":"yes"}`, "retired: is not true or false"},
		{KindUser, "ann", `{"format":1,"generation":1.5}`, "generation: is not a whole number"},
		{KindUser, "ann", "{\"format\":1,\"description\":\"\xff\"}", "is not UTF-8"},
		{KindUser, "ann", `{"format":1,"description":"a\u001b"}`, "description: holds control characters"},
		{KindUser, "ann", strings.Repeat(`{"x":`, 40) + "1" + strings.Repeat("}", 40), "more than 32"},
		{KindUser, "Ann", `{}`, "name of a user: \"Ann\" is not of parts of a-z 0-9 -"},
		{KindUser, "a..b", `{}`, "name of a user"},
		{KindTenant, "a.b", `{}`, "name of a tenant: \"a.b\" is not of a-z 0-9 -"},
		{KindTenant, "shop", `{"format":1,"environments":["a","a"]}`, "environments: \"a\" stands twice"},
		{KindTenant, "shop", `{"format":1}`, "environments: has none"},
		{KindNamespace, "_x", `{}`, "is the system's"},
		{KindNamespace, "x", `{"format":1,"environment":"pre"}`, "environment: is one of a tenant"},
		{KindNamespace, "x", `{"format":1,"tenant":"a"}`, "environment: is empty"},
		{KindNamespace, "x", `{"format":1,"quota":{"keys":-1}}`, "quota.keys: is negative"},
		{KindNamespace, "x", `{"format":1,"quota":[]}`, "quota: is not an object"},
		{KindNamespace, "x", `{"format":1,"frozen":{"by":"a"}}`, "frozen.reason: is empty"},
		{KindRole, "r", `{"format":1,"verbs":["fly"]}`, `verbs: "fly" is none of list, read`},
		{KindRole, "r", `{"format":1,"verbs":["read","read"]}`, "stands twice"},
		{KindToken, "a", `{"format":1,"secrets":[{"sha256":"AB"}]}`, "secrets[0].sha256: is not 64"},
		{KindToken, "a", `{"format":1,"secrets":[{"sha256":"` + hash + `"},{"sha256":"` + hash + `"}]}`, "secrets[1].sha256: stands twice"},
		{KindToken, "a", `{"format":1,"secrets":[{},{},{}]}`, "secrets: 3, more than 2"},
		{KindToken, "a", `{"format":1,"secrets":[{"expires":"tomorrow"}]}`, "secrets[0].expires: is not a time"},
		{KindToken, "a", `{"format":1,"addresses":["10.0.0.1/8"]}`, "addresses[0]: has bits behind its length; the range is 10.0.0.0/8"},
		{KindToken, "a", `{"format":1,"addresses":["::ffff:10.0.0.0/104"]}`, "addresses[0]: "},
		{KindToken, "a", `{"format":1,"addresses":["10.0.0.1"]}`, "addresses[0]: is not a range"},
		{KindTeam, "a", `{"format":1,"members":["team:b"]}`, "members[0]: is neither"},
		{KindTeam, "a", `{"format":1,"members":["user:b","user:b"]}`, "members[1]: stands twice"},
		{KindGrants, "all", `{"format":1,"grants":[{"subject":"x","role":"r"}]}`, "grants[0].subject: "},
		{KindGrants, "all", `{"format":1,"grants":[{"subject":"user:a","role":"r","groupPrefix":"p"}]}`, "only a grant on a namespace"},
		{KindGrants, "namespace:a/b", `{}`, "has a group prefix"},
		{KindGrants, "all:", `{}`, "name of a grants"},
		{KindGrants, "namespace:a", `{"format":1,"grants":[{"subject":"user:a","role":"r"},{"subject":"user:a","role":"r"}]}`, "grants[1]: stands twice"},
		{KindCentre, "marker", `{"format":1,"mode":"open"}`, "mode: "},
		{KindCentre, "secret", `{"format":1,"positions":"aGk="}`, "positions: 2 bytes, not 32"},
		{KindCentre, "other", `{}`, "is none of marker"},
		{"other", "x", `{}`, "kind "},
	} {
		_, err := ParseDocument(KeyOf(c.kind, c.name), c.content)
		assert.ErrorIs(t, err, conf.ErrInvalid, c.content)
		assert.ErrorContains(t, err, c.want, c.content)
	}
	_, err := ParseDocument(conf.Key{Namespace: "public", Group: KindUser, DataID: "ann"}, `{"format":1}`)
	assert.ErrorIs(t, err, conf.ErrInvalid)
	_, err = ParseDocument(KeyOf(KindUser, "ann"), `{"format":1,"description":"`+strings.Repeat("a", MaxDocument)+`"}`)
	assert.ErrorIs(t, err, conf.ErrTooLarge)
}

func TestDocumentOfLaterFormat(t *testing.T) {
	_, err := ParseDocument(KeyOf(KindNamespace, "shop.pre"), `{"format":7,"tenant":{"a":"b"}}`)
	var later *LaterFormat
	require.ErrorAs(t, err, &later)
	assert.Equal(t, KeyOf(KindNamespace, "shop.pre"), later.Key)
	assert.EqualValues(t, 7, later.Format)
	assert.ErrorIs(t, err, conf.ErrUnavailable)
	assert.False(t, errors.Is(err, conf.ErrInvalid))
	assert.ErrorContains(t, err, "namespace shop.pre is of format 7, and this program reads up to 1")
}

func TestScopeReadsWhatItWrites(t *testing.T) {
	for _, s := range []string{"all", "tenant:shop", "environment:shop:pre", "namespace:a:b.c", "namespace:a/g", "namespace:a/g:x.", "namespace:a/."} {
		scope, err := ParseScope(s)
		require.NoError(t, err, s)
		assert.Equal(t, s, scope.String())
	}
	for _, s := range []string{"", "all:", "all:x", "tenant:", "tenant", "tenant:A", "tenant:a:b", "environment:a", "environment:a:", "environment:a:b:c",
		"namespace:", "namespace:a/", "namespace:a/b/c", "namespace:_govern", "namespace:a b", "namespace:*", "group:x"} {
		_, err := ParseScope(s)
		assert.ErrorIs(t, err, conf.ErrInvalid, s)
	}
	assert.Error(t, Scope{}.Validate())
}

func TestVerbsInclude(t *testing.T) {
	for v, want := range map[Verb]verbSet{
		VerbList:       verbSet(VerbList),
		VerbRead:       verbSet(VerbList | VerbRead),
		VerbWrite:      verbSet(VerbList | VerbRead | VerbWrite),
		VerbRelease:    verbSet(VerbList | VerbRead | VerbRelease),
		VerbAdminister: verbSet(VerbList | VerbRead | VerbAdminister),
		VerbForce:      verbSet(VerbForce),
	} {
		assert.Equal(t, want, verbSet(0).with(v), v)
		parsed, err := ParseVerb(v.String())
		assert.NoError(t, err)
		assert.Equal(t, v, parsed)
	}
	_, err := ParseVerb("Read")
	assert.ErrorIs(t, err, conf.ErrInvalid)
	assert.False(t, everyVerb.has(0))
	assert.Equal(t, "unknown", (VerbList | VerbRead).String())
}

func TestSubjects(t *testing.T) {
	for _, s := range []string{"user:a.b", "token:a", "team:a-1", "cert:dns:web.example.com", "cert:uri:spiffe://a/b", "anonymous"} {
		subject, err := ParseSubject(s)
		require.NoError(t, err, s)
		assert.Equal(t, s, subject.String())
	}
	for _, s := range []string{"", "a", "user:", "user:A", "cert:dns:", "cert:ip:1.2.3.4", "cert:dns:a\nb", "anonymous:", "role:a"} {
		_, err := ParseSubject(s)
		assert.ErrorIs(t, err, conf.ErrInvalid, s)
	}
}

func FuzzParseDocument(f *testing.F) {
	f.Add("user", "ann", `{"format":1,"x":[{}]}`)
	f.Add("grants", "namespace:a", `{"format":1,"grants":[{"subject":"user:a","role":"r","groupPrefix":"p","n":1}]}`)
	f.Add("token", "a.b", `{"format":1,"secrets":[{"sha256":"`+strings.Repeat("0", 64)+`","expires":"2026-01-01T00:00:00Z"}],"addresses":["::/0"]}`)
	f.Add("namespace", "a", `{"format":1,"frozen":{"by":"","reason":"x"},"quota":{}}`)
	f.Fuzz(func(t *testing.T, kind, name, content string) {
		doc, err := ParseDocument(KeyOf(kind, name), content)
		if err != nil {
			return
		}
		first, err := Encode(doc)
		require.NoError(t, err)
		again, err := ParseDocument(KeyOf(kind, name), first)
		require.NoError(t, err, first)
		second, err := Encode(again)
		require.NoError(t, err)
		require.Equal(t, first, second)
	})
}
