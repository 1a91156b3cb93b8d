package conf_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

func draft(id, content string) conf.Draft {
	return conf.Draft{Key: conf.NewKey("", id), Content: content}
}

func TestChangeSetRules(t *testing.T) {
	many := make([]conf.Draft, conf.MaxChanges+1)
	for i := range many {
		many[i] = draft(fmt.Sprint("k", i), "x")
	}
	meta := map[string]string{}
	for i := range 17 {
		meta[fmt.Sprint("k", i)] = "v"
	}
	with := func(change func(*conf.ChangeSet)) *conf.ChangeSet {
		s := &conf.ChangeSet{Drafts: []conf.Draft{draft("a", "x")}}
		change(s)
		return s
	}
	for _, c := range []struct {
		name string
		set  *conf.ChangeSet
		err  error
		says string
	}{
		{"good", with(func(*conf.ChangeSet) {}), nil, ""},
		{"nothing", &conf.ChangeSet{}, conf.ErrInvalid, "no changes"},
		{"checks alone", &conf.ChangeSet{Checks: []conf.Check{{Key: conf.NewKey("", "a")}}}, conf.ErrInvalid, "no changes"},
		{"too many", &conf.ChangeSet{Drafts: many}, conf.ErrInvalid, "1001"},
		{"bad key", with(func(s *conf.ChangeSet) { s.Drafts[0].Key.Group = "a b" }), conf.ErrInvalid, "group"},
		{"key twice", with(func(s *conf.ChangeSet) { s.Deletes = []conf.Delete{{Key: s.Drafts[0].Key}} }), conf.ErrInvalid, "more than once"},
		{"key twice, spelt differently", with(func(s *conf.ChangeSet) {
			s.Checks = []conf.Check{{Key: conf.Key{DataID: "a"}}}
		}), conf.ErrInvalid, "more than once"},
		{"content at the limit", with(func(s *conf.ChangeSet) { s.Drafts[0].Content = strings.Repeat("x", 100) }), nil, ""},
		{"content over the limit", with(func(s *conf.ChangeSet) { s.Drafts[0].Content = strings.Repeat("x", 101) }), conf.ErrTooLarge, "101 bytes, more than 100"},
		{"negative condition", with(func(s *conf.ChangeSet) { s.Drafts[0].IfRevision = conf.Revision(-1) }), conf.ErrInvalid, "ifRevision"},
		{"delete if absent", with(func(s *conf.ChangeSet) {
			s.Deletes = []conf.Delete{{Key: conf.NewKey("", "b"), IfRevision: conf.Revision(0)}}
		}), conf.ErrInvalid, "ifRevision of a delete"},
		{"type", with(func(s *conf.ChangeSet) { s.Drafts[0].Type = "a b" }), conf.ErrInvalid, "type"},
		{"request id", with(func(s *conf.ChangeSet) { s.RequestID = "a b" }), conf.ErrInvalid, "requestId"},
		{"comment length", with(func(s *conf.ChangeSet) { s.Comment = strings.Repeat("x", 1025) }), conf.ErrInvalid, "comment"},
		{"comment with a line break", with(func(s *conf.ChangeSet) { s.Comment = "a\nb" }), conf.ErrInvalid, "comment"},
		{"comment with an escape", with(func(s *conf.ChangeSet) { s.Comment = "a\x1b[31m" }), conf.ErrInvalid, "comment"},
		{"comment not UTF-8", with(func(s *conf.ChangeSet) { s.Comment = "\xff" }), conf.ErrInvalid, "comment"},
		{"comment in Chinese", with(func(s *conf.ChangeSet) { s.Comment = "限流" }), nil, ""},
		{"meta pairs", with(func(s *conf.ChangeSet) { s.Drafts[0].Meta = meta }), conf.ErrInvalid, "meta"},
		{"meta key", with(func(s *conf.ChangeSet) { s.Drafts[0].Meta = map[string]string{"a b": ""} }), conf.ErrInvalid, "meta key"},
		{"meta value", with(func(s *conf.ChangeSet) { s.Drafts[0].Meta = map[string]string{"a": "\r\n"} }), conf.ErrInvalid, "meta value"},
	} {
		err := c.set.Canonical().Validate(100)
		if c.err == nil {
			assert.NoError(t, err, c.name)
			continue
		}
		assert.ErrorIs(t, err, c.err, c.name)
		assert.ErrorContains(t, err, c.says, c.name)
	}
}

// A content that says nothing in its format is refused as a blank one is.
func TestR13_BlankGuardKnowsTheFormat(t *testing.T) {
	for _, d := range []struct {
		dataID, typ, content string
		refused              bool
	}{
		{"a.yaml", "", "# rate: 5\n---\n", true}, {"a.yaml", "", "~", true}, {"a.json", "", "null", true},
		{"a.toml", "", "# rate = 5", true}, {"a.properties", "", "! rate=5", true}, {"a", "yaml", "\ufeff# c", true},
		{"a", "", "# a text", false}, {"a.yaml", "text", "# a text", false}, {"a.yaml", "", "{}", false}, {"a.json", "", "{}", false},
	} {
		set := &conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.NewKey("", d.dataID), Type: d.typ, Content: d.content}}}
		if !d.refused {
			require.NoError(t, set.Validate(100), "%+v", d)
			continue
		}
		require.ErrorContains(t, set.Validate(100), "says nothing in its format", "%+v", d)
		set.Drafts = append(set.Drafts, conf.Draft{Key: conf.NewKey("", "other"), Content: "x"})
		require.ErrorContains(t, set.Validate(100), "content of \"public/DEFAULT_GROUP/"+d.dataID+"\": is empty", "of several, it says which")
		set.Drafts[0].AllowEmpty = true
		require.NoError(t, set.Validate(100), "%+v", d)
	}
}

// TestR13_BlankGuard: empty and blank contents are refused unless asked for.
func TestR13_BlankGuard(t *testing.T) {
	for _, blank := range []string{"", " ", "\n", "\t \r\n", "\u00a0"} {
		set := &conf.ChangeSet{Drafts: []conf.Draft{draft("a", blank)}}
		require.ErrorIs(t, set.Validate(100), conf.ErrInvalid, "%q", blank)
		require.ErrorContains(t, set.Validate(100), "is empty or blank", "%q", blank)
		set.Drafts[0].AllowEmpty = true
		require.NoError(t, set.Validate(100), "%q", blank)
	}
}

// TestChangeSetHash: a request id is bound to all that the set asks for, and to nothing else.
func TestChangeSetHash(t *testing.T) {
	base := func() *conf.ChangeSet {
		return &conf.ChangeSet{
			Drafts:  []conf.Draft{draft("a", "x")},
			Deletes: []conf.Delete{{Key: conf.NewKey("", "b")}},
			Checks:  []conf.Check{{Key: conf.NewKey("", "c"), Revision: 3}},
			Comment: "why", RequestID: "r1",
		}
	}
	same := base()
	same.RequestID, same.Caller.Address, same.Asked = "r2", "elsewhere", [32]byte{1}
	assert.Equal(t, base().Hash(), same.Hash())

	seen := map[[32]byte]bool{base().Hash(): true}
	for name, change := range map[string]func(*conf.ChangeSet){
		"content":          func(s *conf.ChangeSet) { s.Drafts[0].Content = "y" },
		"key":              func(s *conf.ChangeSet) { s.Drafts[0].Key.DataID = "z" },
		"type":             func(s *conf.ChangeSet) { s.Drafts[0].Type = "json" },
		"condition":        func(s *conf.ChangeSet) { s.Drafts[0].IfRevision = conf.Revision(0) },
		"other condition":  func(s *conf.ChangeSet) { s.Drafts[0].IfRevision = conf.Revision(1) },
		"meta":             func(s *conf.ChangeSet) { s.Drafts[0].Meta = map[string]string{"a": "b"} },
		"reset":            func(s *conf.ChangeSet) { s.Drafts[0].Reset = true },
		"reset of meta":    func(s *conf.ChangeSet) { s.Drafts[0].Reset, s.Drafts[0].Meta = true, map[string]string{"a": "b"} },
		"delete":           func(s *conf.ChangeSet) { s.Deletes[0].Key.DataID = "z" },
		"delete condition": func(s *conf.ChangeSet) { s.Deletes[0].IfRevision = conf.Revision(1) },
		"check":            func(s *conf.ChangeSet) { s.Checks[0].Revision = 4 },
		"comment":          func(s *conf.ChangeSet) { s.Comment = "" },
		"origin":           func(s *conf.ChangeSet) { s.Origin = "cli" },
		"other origin":     func(s *conf.ChangeSet) { s.Origin = "force" },
		"force":            func(s *conf.ChangeSet) { s.Force = true },
		"origin and force": func(s *conf.ChangeSet) { s.Origin, s.Force = "cli", true },
		"fewer":            func(s *conf.ChangeSet) { s.Checks = nil },
	} {
		s := base()
		change(s)
		assert.False(t, seen[s.Hash()], name)
		seen[s.Hash()] = true
	}
}

// TestChangeSetHashIsStable: a set that was committed by an earlier release hashes
// now as it did then, so that a retry across an upgrade is known.
func TestChangeSetHashIsStable(t *testing.T) {
	set := &conf.ChangeSet{
		Drafts: []conf.Draft{
			{Key: conf.NewKey("", "a.json"), Content: "{}", Meta: map[string]string{"k": "v"}},
			{Key: conf.NewKey("g", "b"), Content: "x", Type: "yaml", IfRevision: conf.Revision(3)},
		},
		Deletes: []conf.Delete{{Key: conf.NewKey("", "c")}},
		Checks:  []conf.Check{{Key: conf.NewKey("", "d"), Revision: 4}},
		Comment: "why",
	}
	assert.Equal(t, "a48043cacfb9a09ae23d53143107902d5002194e833c9f067f36c92e4ee4e8b9", fmt.Sprintf("%x", set.Canonical().Hash()))
}

func TestRequestHash(t *testing.T) {
	set := &conf.ChangeSet{Drafts: []conf.Draft{draft("a", "x")}}
	assert.Equal(t, set.Hash(), set.RequestHash())
	set.Asked = [32]byte{31: 1}
	assert.Equal(t, [32]byte{31: 1}, set.RequestHash())
	assert.Equal(t, set.Asked, set.Canonical().RequestHash())
}

func TestValidate_Origin(t *testing.T) {
	for origin, ok := range map[string]bool{"": true, "cli": true, strings.Repeat("x", 32): true, strings.Repeat("x", 33): false, "a b": false, "a/b": false, "a\n": false} {
		set := &conf.ChangeSet{Drafts: []conf.Draft{draft("a", "x")}, Origin: origin}
		err := set.Validate(100)
		if ok {
			assert.NoError(t, err, "%q", origin)
			continue
		}
		assert.ErrorIs(t, err, conf.ErrInvalid, "%q", origin)
		assert.ErrorContains(t, err, "origin", "%q", origin)
	}
}

func TestValidateWithin_Checks(t *testing.T) {
	set := &conf.ChangeSet{Drafts: []conf.Draft{draft("a", "x")}}
	for i := range conf.MaxChanges + 1 {
		set.Checks = append(set.Checks, conf.Check{Key: conf.NewKey("", fmt.Sprint("c", i))})
	}
	assert.ErrorIs(t, set.Validate(100), conf.ErrInvalid)
	assert.ErrorIs(t, set.ValidateWithin(100, conf.MaxChanges), conf.ErrInvalid)
	assert.NoError(t, set.ValidateWithin(100, conf.MaxChanges+1))
	set.Checks = set.Checks[1:]
	assert.NoError(t, set.Validate(100))
}

func TestHashKeys(t *testing.T) {
	a, b := conf.NewKey("", "a"), conf.NewKey("", "b")
	assert.Equal(t, conf.HashKeys([]conf.Key{a, b}), conf.HashKeys([]conf.Key{b, a, {DataID: "a"}}))
	assert.NotEqual(t, conf.HashKeys([]conf.Key{a}), conf.HashKeys([]conf.Key{a, b}))
	assert.NotEqual(t, conf.HashKeys(nil), conf.HashKeys([]conf.Key{a}))
	assert.NotEqual(t,
		conf.HashKeys([]conf.Key{{Namespace: "ab", Group: "c", DataID: "d"}}),
		conf.HashKeys([]conf.Key{{Namespace: "a", Group: "bc", DataID: "d"}}))
}

func TestErrorText(t *testing.T) {
	e := conf.Errorf(conf.ErrConflict, "revision is %d, not %d", 3, 2)
	e.Op, e.Key = "commit", conf.NewKey("", "a")
	assert.EqualError(t, e, "diamond: commit public/DEFAULT_GROUP/a: conflict: revision is 3, not 2")
	assert.ErrorIs(t, e, conf.ErrConflict)

	e.Key.DataID = "a\nlevel=ERROR forged"
	assert.NotContains(t, e.Error(), "\n", "an error is one line, whatever the key")
}

// A conflict settles the outcome of an earlier try that may be on its way still
// only where the condition can never hold again.
func TestAConflictSettlesWhatCanNeverHoldAgain(t *testing.T) {
	a, b := conf.NewKey("", "a"), conf.NewKey("", "b")
	conflict := func(key conf.Key) error { return &conf.Error{Key: key, Err: conf.ErrConflict, Current: 9} }
	set := conf.ChangeSet{
		Drafts: []conf.Draft{{Key: a, IfRevision: conf.Revision(7)}},
		Checks: []conf.Check{{Key: b, Revision: 0}},
	}
	assert.True(t, set.Settles(conflict(a)), "a will never be at 7 again")
	assert.False(t, set.Settles(conflict(b)), "b may be deleted")
	assert.False(t, set.Settles(conflict(conf.Key{})), "it may be either")
	assert.False(t, set.Settles(&conf.Error{Err: conf.ErrNotFound}), "what is to be deleted may be published")
	set.Checks[0].Revision = 3
	assert.True(t, set.Settles(conflict(conf.Key{})))
	set = conf.ChangeSet{Deletes: []conf.Delete{{Key: a, IfRevision: conf.Revision(7)}}}
	assert.True(t, set.Settles(conflict(a)))
	set = conf.ChangeSet{Drafts: []conf.Draft{{Key: a, IfRevision: conf.Revision(0)}}}
	assert.False(t, set.Settles(conflict(a)), "a may be deleted")
}
