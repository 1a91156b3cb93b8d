package diamond_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
)

func draft(id, content string) diamond.Draft {
	return diamond.Draft{Key: diamond.NewKey("", id), Content: content}
}

func TestChangeSetRules(t *testing.T) {
	many := make([]diamond.Draft, diamond.MaxChanges+1)
	for i := range many {
		many[i] = draft(fmt.Sprint("k", i), "x")
	}
	meta := map[string]string{}
	for i := range 17 {
		meta[fmt.Sprint("k", i)] = "v"
	}
	with := func(change func(*diamond.ChangeSet)) *diamond.ChangeSet {
		s := &diamond.ChangeSet{Drafts: []diamond.Draft{draft("a", "x")}}
		change(s)
		return s
	}
	for _, c := range []struct {
		name string
		set  *diamond.ChangeSet
		err  error
		says string
	}{
		{"good", with(func(*diamond.ChangeSet) {}), nil, ""},
		{"nothing", &diamond.ChangeSet{}, diamond.ErrInvalid, "no changes"},
		{"checks alone", &diamond.ChangeSet{Checks: []diamond.Check{{Key: diamond.NewKey("", "a")}}}, diamond.ErrInvalid, "no changes"},
		{"too many", &diamond.ChangeSet{Drafts: many}, diamond.ErrInvalid, "1001"},
		{"bad key", with(func(s *diamond.ChangeSet) { s.Drafts[0].Key.Group = "a b" }), diamond.ErrInvalid, "group"},
		{"key twice", with(func(s *diamond.ChangeSet) { s.Deletes = []diamond.Delete{{Key: s.Drafts[0].Key}} }), diamond.ErrInvalid, "more than once"},
		{"key twice, spelt differently", with(func(s *diamond.ChangeSet) {
			s.Checks = []diamond.Check{{Key: diamond.Key{DataID: "a"}}}
		}), diamond.ErrInvalid, "more than once"},
		{"content at the limit", with(func(s *diamond.ChangeSet) { s.Drafts[0].Content = strings.Repeat("x", 100) }), nil, ""},
		{"content over the limit", with(func(s *diamond.ChangeSet) { s.Drafts[0].Content = strings.Repeat("x", 101) }), diamond.ErrTooLarge, "101 bytes, more than 100"},
		{"negative condition", with(func(s *diamond.ChangeSet) { s.Drafts[0].IfRevision = diamond.Revision(-1) }), diamond.ErrInvalid, "ifRevision"},
		{"delete if absent", with(func(s *diamond.ChangeSet) {
			s.Deletes = []diamond.Delete{{Key: diamond.NewKey("", "b"), IfRevision: diamond.Revision(0)}}
		}), diamond.ErrInvalid, "ifRevision of a delete"},
		{"type", with(func(s *diamond.ChangeSet) { s.Drafts[0].Type = "a b" }), diamond.ErrInvalid, "type"},
		{"request id", with(func(s *diamond.ChangeSet) { s.RequestID = "a b" }), diamond.ErrInvalid, "requestId"},
		{"comment length", with(func(s *diamond.ChangeSet) { s.Comment = strings.Repeat("x", 1025) }), diamond.ErrInvalid, "comment"},
		{"comment with a line break", with(func(s *diamond.ChangeSet) { s.Comment = "a\nb" }), diamond.ErrInvalid, "comment"},
		{"comment with an escape", with(func(s *diamond.ChangeSet) { s.Comment = "a\x1b[31m" }), diamond.ErrInvalid, "comment"},
		{"comment not UTF-8", with(func(s *diamond.ChangeSet) { s.Comment = "\xff" }), diamond.ErrInvalid, "comment"},
		{"comment in Chinese", with(func(s *diamond.ChangeSet) { s.Comment = "限流" }), nil, ""},
		{"meta pairs", with(func(s *diamond.ChangeSet) { s.Drafts[0].Meta = meta }), diamond.ErrInvalid, "meta"},
		{"meta key", with(func(s *diamond.ChangeSet) { s.Drafts[0].Meta = map[string]string{"a b": ""} }), diamond.ErrInvalid, "meta key"},
		{"meta value", with(func(s *diamond.ChangeSet) { s.Drafts[0].Meta = map[string]string{"a": "\r\n"} }), diamond.ErrInvalid, "meta value"},
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
		set := &diamond.ChangeSet{Drafts: []diamond.Draft{{Key: diamond.NewKey("", d.dataID), Type: d.typ, Content: d.content}}}
		if !d.refused {
			require.NoError(t, set.Validate(100), "%+v", d)
			continue
		}
		require.ErrorContains(t, set.Validate(100), "says nothing in its format", "%+v", d)
		set.Drafts = append(set.Drafts, diamond.Draft{Key: diamond.NewKey("", "other"), Content: "x"})
		require.ErrorContains(t, set.Validate(100), "content of \"public/DEFAULT_GROUP/"+d.dataID+"\": is empty", "of several, it says which")
		set.Drafts[0].AllowEmpty = true
		require.NoError(t, set.Validate(100), "%+v", d)
	}
}

// TestR13_BlankGuard: empty and blank contents are refused unless asked for.
func TestR13_BlankGuard(t *testing.T) {
	for _, blank := range []string{"", " ", "\n", "\t \r\n", "\u00a0"} {
		set := &diamond.ChangeSet{Drafts: []diamond.Draft{draft("a", blank)}}
		require.ErrorIs(t, set.Validate(100), diamond.ErrInvalid, "%q", blank)
		require.ErrorContains(t, set.Validate(100), "is empty or blank", "%q", blank)
		set.Drafts[0].AllowEmpty = true
		require.NoError(t, set.Validate(100), "%q", blank)
	}
}

// TestChangeSetHash: a request id is bound to all that the set asks for, and to nothing else.
func TestChangeSetHash(t *testing.T) {
	base := func() *diamond.ChangeSet {
		return &diamond.ChangeSet{
			Drafts:  []diamond.Draft{draft("a", "x")},
			Deletes: []diamond.Delete{{Key: diamond.NewKey("", "b")}},
			Checks:  []diamond.Check{{Key: diamond.NewKey("", "c"), Revision: 3}},
			Comment: "why", RequestID: "r1",
		}
	}
	same := base()
	same.RequestID, same.Caller.Address = "r2", "elsewhere"
	assert.Equal(t, base().Hash(), same.Hash())

	seen := map[[32]byte]bool{base().Hash(): true}
	for name, change := range map[string]func(*diamond.ChangeSet){
		"content":          func(s *diamond.ChangeSet) { s.Drafts[0].Content = "y" },
		"key":              func(s *diamond.ChangeSet) { s.Drafts[0].Key.DataID = "z" },
		"type":             func(s *diamond.ChangeSet) { s.Drafts[0].Type = "json" },
		"condition":        func(s *diamond.ChangeSet) { s.Drafts[0].IfRevision = diamond.Revision(0) },
		"other condition":  func(s *diamond.ChangeSet) { s.Drafts[0].IfRevision = diamond.Revision(1) },
		"meta":             func(s *diamond.ChangeSet) { s.Drafts[0].Meta = map[string]string{"a": "b"} },
		"reset":            func(s *diamond.ChangeSet) { s.Drafts[0].Reset = true },
		"reset of meta":    func(s *diamond.ChangeSet) { s.Drafts[0].Reset, s.Drafts[0].Meta = true, map[string]string{"a": "b"} },
		"delete":           func(s *diamond.ChangeSet) { s.Deletes[0].Key.DataID = "z" },
		"delete condition": func(s *diamond.ChangeSet) { s.Deletes[0].IfRevision = diamond.Revision(1) },
		"check":            func(s *diamond.ChangeSet) { s.Checks[0].Revision = 4 },
		"comment":          func(s *diamond.ChangeSet) { s.Comment = "" },
		"fewer":            func(s *diamond.ChangeSet) { s.Checks = nil },
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
	set := &diamond.ChangeSet{
		Drafts: []diamond.Draft{
			{Key: diamond.NewKey("", "a.json"), Content: "{}", Meta: map[string]string{"k": "v"}},
			{Key: diamond.NewKey("g", "b"), Content: "x", Type: "yaml", IfRevision: diamond.Revision(3)},
		},
		Deletes: []diamond.Delete{{Key: diamond.NewKey("", "c")}},
		Checks:  []diamond.Check{{Key: diamond.NewKey("", "d"), Revision: 4}},
		Comment: "why",
	}
	assert.Equal(t, "a48043cacfb9a09ae23d53143107902d5002194e833c9f067f36c92e4ee4e8b9", fmt.Sprintf("%x", set.Canonical().Hash()))
}

func TestHashKeys(t *testing.T) {
	a, b := diamond.NewKey("", "a"), diamond.NewKey("", "b")
	assert.Equal(t, diamond.HashKeys([]diamond.Key{a, b}), diamond.HashKeys([]diamond.Key{b, a, {DataID: "a"}}))
	assert.NotEqual(t, diamond.HashKeys([]diamond.Key{a}), diamond.HashKeys([]diamond.Key{a, b}))
	assert.NotEqual(t, diamond.HashKeys(nil), diamond.HashKeys([]diamond.Key{a}))
	assert.NotEqual(t,
		diamond.HashKeys([]diamond.Key{{Namespace: "ab", Group: "c", DataID: "d"}}),
		diamond.HashKeys([]diamond.Key{{Namespace: "a", Group: "bc", DataID: "d"}}))
}

func TestErrorText(t *testing.T) {
	e := diamond.Errorf(diamond.ErrConflict, "revision is %d, not %d", 3, 2)
	e.Op, e.Key = "commit", diamond.NewKey("", "a")
	assert.EqualError(t, e, "diamond: commit public/DEFAULT_GROUP/a: conflict: revision is 3, not 2")
	assert.ErrorIs(t, e, diamond.ErrConflict)

	e.Key.DataID = "a\nlevel=ERROR forged"
	assert.NotContains(t, e.Error(), "\n", "an error is one line, whatever the key")
}

// A conflict settles the outcome of an earlier try that may be on its way still
// only where the condition can never hold again.
func TestAConflictSettlesWhatCanNeverHoldAgain(t *testing.T) {
	a, b := diamond.NewKey("", "a"), diamond.NewKey("", "b")
	conflict := func(key diamond.Key) error { return &diamond.Error{Key: key, Err: diamond.ErrConflict, Current: 9} }
	set := diamond.ChangeSet{
		Drafts: []diamond.Draft{{Key: a, IfRevision: diamond.Revision(7)}},
		Checks: []diamond.Check{{Key: b, Revision: 0}},
	}
	assert.True(t, set.Settles(conflict(a)), "a will never be at 7 again")
	assert.False(t, set.Settles(conflict(b)), "b may be deleted")
	assert.False(t, set.Settles(conflict(diamond.Key{})), "it may be either")
	assert.False(t, set.Settles(&diamond.Error{Err: diamond.ErrNotFound}), "what is to be deleted may be published")
	set.Checks[0].Revision = 3
	assert.True(t, set.Settles(conflict(diamond.Key{})))
	set = diamond.ChangeSet{Deletes: []diamond.Delete{{Key: a, IfRevision: diamond.Revision(7)}}}
	assert.True(t, set.Settles(conflict(a)))
	set = diamond.ChangeSet{Drafts: []diamond.Draft{{Key: a, IfRevision: diamond.Revision(0)}}}
	assert.False(t, set.Settles(conflict(a)), "a may be deleted")
}
