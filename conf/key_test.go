package conf_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/linnaname/gdiamond/conf"
)

func TestKeyDefaults(t *testing.T) {
	want := conf.Key{Namespace: "public", Group: "DEFAULT_GROUP", DataID: "a"}
	assert.Equal(t, want, conf.Key{DataID: "a"}.Canonical())
	assert.Equal(t, want, conf.NewKey("", "a"))
	assert.NoError(t, conf.Key{DataID: "a"}.Validate())
}

func TestKeyGrammar(t *testing.T) {
	for _, part := range []string{"a", "A", "a.b", "a_b-c:d", "0", "...", strings.Repeat("x", 128)} {
		for _, k := range []conf.Key{{Namespace: part, DataID: "d"}, {Group: part, DataID: "d"}, {DataID: part}} {
			assert.NoError(t, k.Validate(), "%q", part)
		}
	}
	bad := []string{
		".", "..", "a/b", `a\b`, "a b", " a", "a ", "a%2Fb", "a%", "a,b", "a;b", "á", "ａ", "a\x00", "a\n", "\x7f", "\xff",
		"a@@b", "a|b", "a'b", `a"b`, "a?b", "a#b", "a+b", "a*b", strings.Repeat("x", 300),
	}
	for _, part := range bad {
		for field, k := range map[string]conf.Key{
			"namespace": {Namespace: part, DataID: "d"},
			"group":     {Group: part, DataID: "d"},
			"dataId":    {DataID: part},
		} {
			err := k.Validate()
			require.ErrorIs(t, err, conf.ErrInvalid, "%q", part)
			assert.Contains(t, err.Error(), field, "the error names the field")
			assert.NotContains(t, err.Error(), "\n")
		}
	}
	require.ErrorIs(t, conf.Key{}.Validate(), conf.ErrInvalid, "a data id has no default")
}

func TestKeyErrorNamesEveryField(t *testing.T) {
	err := conf.Key{Namespace: "a b", Group: "..", DataID: ""}.Validate()
	for _, field := range []string{"namespace", "group", "dataId"} {
		assert.ErrorContains(t, err, field)
	}
}

// A byte of a character is not shown as the character of that number.
func TestKeyErrorShowsBytes(t *testing.T) {
	for id, shown := range map[string]string{
		"中文": "byte 0xe4 at 0;", "x\x80": "byte 0x80 at 1;", "a b": "byte ' ' at 1;", "a\n": `byte '\n' at 1;`,
	} {
		assert.ErrorContains(t, conf.Key{DataID: id}.Validate(), "dataId: "+shown)
	}
}

// TestKeyEveryByte goes through all bytes at all places of a three-byte name.
func TestKeyEveryByte(t *testing.T) {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-"
	for c := range 256 {
		for at := range 3 {
			b := []byte("xyz")
			b[at] = byte(c)
			err := conf.Key{DataID: string(b)}.Validate()
			assert.Equal(t, strings.IndexByte(allowed, byte(c)) >= 0, err == nil, "byte %#x at %d: %v", c, at, err)
		}
	}
}

func TestKeyStringRoundTrip(t *testing.T) {
	part := func(most int) *rapid.Generator[string] {
		return rapid.StringMatching(`[A-Za-z0-9._:-]{1,20}`).Filter(func(s string) bool {
			return s != "." && s != ".." && len(s) <= most
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		k := conf.Key{
			Namespace: part(conf.MaxNamespace).Draw(t, "namespace"),
			Group:     part(conf.MaxGroup).Draw(t, "group"),
			DataID:    part(conf.MaxDataID).Draw(t, "dataId"),
		}
		back, err := conf.ParseKey(k.String())
		require.NoError(t, err)
		require.Equal(t, k, back)
	})
}

func TestParseKey(t *testing.T) {
	for s, want := range map[string]conf.Key{
		"d":     conf.NewKey("", "d"),
		"g/d":   conf.NewKey("g", "d"),
		"n/g/d": {Namespace: "n", Group: "g", DataID: "d"},
	} {
		k, err := conf.ParseKey(s)
		require.NoError(t, err)
		assert.Equal(t, want, k)
	}
	for _, s := range []string{"", "/", "a/", "/a", "a//b", "a/b/c/d", "a b", "g/..", strings.Repeat("a/", 1000)} {
		_, err := conf.ParseKey(s)
		assert.ErrorIs(t, err, conf.ErrInvalid, "%q", s)
	}
}

// FuzzF1_Key: what ParseKey takes is in the grammar and comes back the same.
func FuzzF1_Key(f *testing.F) {
	for _, s := range []string{"d", "g/d", "n/g/d", "..", "a/../b", "\x00", "a%2fb", "_sys/g/d", "public/DEFAULT_GROUP/a:b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := conf.ParseKey(s)
		if err != nil {
			require.ErrorIs(t, err, conf.ErrInvalid)
			require.NotContains(t, err.Error(), "\n")
			return
		}
		require.NoError(t, k.Validate())
		back, err := conf.ParseKey(k.String())
		require.NoError(t, err)
		require.Equal(t, k, back)
	})
}
