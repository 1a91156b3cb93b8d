package codec

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/document"
)

type server struct {
	Name   string `json:"name" yaml:"name" toml:"name" properties:"name"`
	Weight int    `json:"weight" yaml:"weight" toml:"weight"`
}

type config struct {
	RateLimit int               `json:"rate_limit" yaml:"rate_limit" toml:"rate_limit" properties:"rate_limit"`
	Server    server            `json:"server" yaml:"server" toml:"server"`
	Pointer   *server           `json:"pointer" yaml:"pointer" toml:"pointer"`
	Servers   []server          `json:"servers" yaml:"servers" toml:"servers" properties:"-"`
	Tags      []string          `json:"tags" yaml:"tags" toml:"tags"`
	Labels    map[string]string `json:"labels" yaml:"labels" toml:"labels"`
}

var formats = []struct{ name, full, list, number, unknown, syntax string }{
	{
		name: "json",
		full: `{"rate_limit": 5, "server": {"name": "a", "weight": 2}, "pointer": {"name": "p"},
			"tags": ["x", "y"], "labels": {"k": "v"}}`,
		list:    `{"servers": [{"name": "b"}]}`,
		number:  "{\n\"rate_limit\":\n\"CANARY\"}",
		unknown: "{\"rate_limit\": 1,\n\n\"CANARY\": \"CANARY\"}",
		syntax:  "{\n\n\"rate_limit\" CANARY}",
	}, {
		name:    "yaml",
		full:    "rate_limit: 5\nserver: {name: a, weight: 2}\npointer: {name: p}\ntags: [x, y]\nlabels: {k: v}\n",
		list:    "servers:\n- name: b\n",
		number:  "# x\n\nrate_limit: CANARY into CANARY\n",
		unknown: "rate_limit: 1\n\nCANARY: CANARY\n",
		syntax:  "rate_limit: 1\n\nx: CANARY: CANARY\n",
	}, {
		name:    "toml",
		full:    "rate_limit = 5\ntags = ['x', 'y']\n[server]\nname = 'a'\nweight = 2\n[pointer]\nname = 'p'\n[labels]\nk = 'v'\n",
		list:    "[[servers]]\nname = 'b'\n",
		number:  "# x\n\nrate_limit = 'CANARY'\n",
		unknown: "rate_limit = 1\n\nCANARY = 'CANARY'\n",
		syntax:  "rate_limit = 1\n\nCANARY CANARY\n",
	}, {
		name:    "properties",
		full:    "rate_limit=5\nserver.name : a\nserver.weight 2\npointer.name=p\ntags=x, y\nlabels.k=v\n",
		number:  "# x\n\nrate_limit=CANARY\n",
		unknown: "rate_limit=1\n\nCANARY=CANARY\n",
		syntax:  "rate_limit=1\n\nx=CANARY\\uCANA\n",
	},
}

func TestDecode(t *testing.T) {
	want := config{
		RateLimit: 5, Server: server{"a", 2}, Pointer: &server{Name: "p"},
		Tags: []string{"x", "y"}, Labels: map[string]string{"k": "v"},
	}
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) {

			for _, strict := range []bool{false, true} {
				var got config
				require.NoError(t, Decode(f.name, []byte(f.full), &got, strict))
				assert.Equal(t, want, got)
			}
			var got config
			require.NoError(t, Decode(f.name, []byte(f.unknown), &got, false), "unknown fields pass unless strict")
			assert.Equal(t, 1, got.RateLimit)
		})
	}
}

func TestDecode_ErrorsHaveALineAndNoContent(t *testing.T) {
	for _, f := range formats {
		for what, data := range map[string]string{"number": f.number, "unknown": f.unknown, "syntax": f.syntax} {
			t.Run(f.name+"/"+what, func(t *testing.T) {
				var got config
				err := Decode(f.name, []byte(data), &got, true)
				require.Error(t, err)
				assert.Regexp(t, `^line 3(, column \d+)?: `, err.Error())
				assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "CANA")
				if what == "unknown" {
					assert.Contains(t, err.Error(), "unknown field")
				}
			})
		}
	}
}

func TestDecode_SeedsStayAndListsAreReplaced(t *testing.T) {
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			seed := func() config {
				return config{RateLimit: 7, Servers: []server{{"old", 9}, {"older", 8}}, Tags: []string{"t"}}
			}
			got := seed()
			if f.list != "" {
				require.NoError(t, Decode(f.name, []byte(f.list), &got, false))
				assert.Equal(t, []server{{"b", 0}}, got.Servers, "an element takes nothing from the list that was there")
				assert.Equal(t, 7, got.RateLimit)
				assert.Equal(t, []string{"t"}, got.Tags)
			}
			got = seed()
			require.NoError(t, Decode(f.name, []byte(f.full), &got, false))
			assert.Equal(t, []string{"x", "y"}, got.Tags)
			assert.Equal(t, seed().Servers, got.Servers, "a list that is not there stays")
		})
	}
}

func TestDecode_EmptyJSONListReplaces(t *testing.T) {
	got := config{Tags: []string{"t"}}
	require.NoError(t, Decode("json", []byte(`{"tags": []}`), &got, false))
	assert.Empty(t, got.Tags)
}

func TestDecode_MoreThanOneDocument(t *testing.T) {
	for format, data := range map[string]string{"json": "{}\n{}", "yaml": "a: 1\n---\nb: 2\n"} {
		var got map[string]any
		require.ErrorContains(t, Decode(format, []byte(data), &got, false), "more than one document", format)
	}
}

// A document that says nothing is refused by that name, in each of the ways to
// say nothing, and Blank knows them without parsing.
func TestDecode_Nothing(t *testing.T) {
	for format, documents := range map[string][]string{
		"json":       {"", " \r\n", "null", " null\n", "\ufeff"},
		"yaml":       {"", "# c", "---", "null", "~", "--- # c\n...\n", "\ufeff", "\ufeff# c\r\n", "Null", "--- ~ # c\n"},
		"toml":       {"", "# c\n\n", "\ufeff"},
		"properties": {"", "# c\n! c", "\ufeff", "\r\n"},
	} {
		for _, data := range documents {
			got := config{RateLimit: 7}
			require.ErrorIs(t, Decode(format, []byte(data), &got, false), document.ErrNothing, "%s %q", format, data)
			assert.True(t, document.Blank(format, data), "%s %q", format, data)
			assert.Equal(t, config{RateLimit: 7}, got)
		}
	}
	for format, documents := range map[string][]string{
		"json": {"{}", "[]", "0", `""`, "nullx"}, "yaml": {"{}", "a:", "nullx", "--- a: 1", "''", "a # c", "---a: 1"},
		"toml": {"a=1", "[a]"}, "properties": {"a", "=", "null"}, "": {"# c", "null"},
	} {
		for _, data := range documents {
			assert.False(t, document.Blank(format, data), "%s %q", format, data)
		}
	}
	assert.True(t, document.Blank("", " \n"))
}

func TestDecode_Plain(t *testing.T) {
	var s string
	require.NoError(t, Decode("", []byte("a\x00\xff"), &s, true))
	assert.Equal(t, "a\x00\xff", s)
	var b []byte
	data := []byte("{")
	require.NoError(t, Decode("json", data, &b, true))
	data[0] = 'x'
	assert.Equal(t, "{", string(b), "a copy")
}

func TestDecode_NoDecoder(t *testing.T) {
	var got config
	require.EqualError(t, Decode("xml", nil, &got, false), `no decoder for type "xml" into codec.config; json, yaml, toml and properties have one, and WithDecoder gives another`)
	require.EqualError(t, Decode("yaml", []byte("- a"), &got, false), "line 1, column 1: a value does not fit the type codec.config: it is no mapping")
	require.Error(t, Decode("json", []byte("{}"), got, false), "not a pointer")

}

func TestDecode_YAMLAliasBombIsRefused(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for i := 'b'; i < 'k'; i++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", i, i, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1)
	}
	var got map[string]any
	require.Error(t, Decode("yaml", []byte(bomb), &got, false))
}

func TestProperties_Format(t *testing.T) {
	var got map[string]string
	require.NoError(t, Decode("properties", []byte("\ufeff# c\r\n! c\r\n\r\n"+
		`a\ b\:c = d\te\u0041\ud83d\ude00`+"\r\n"+
		"long = one, \\\r\n   two\r\n"+
		"  indented:x \n"+
		"nothing\nblank=\n"+
		`path=c:\\dir\\`+"\n"+
		"last=x\\"), &got, true))
	assert.Equal(t, map[string]string{
		"a b:c": "d\teA\U0001F600", "long": "one, two", "indented": "x ", "nothing": "", "blank": "",
		"path": `c:\dir\`, "last": "x",
	}, got)
}

func TestProperties_Kinds(t *testing.T) {
	var got struct {
		Dotted  string `properties:"spring.application.name"`
		On      bool
		Timeout time.Duration
		At      time.Time
		Ratio   float32
		Small   uint8
		Ints    []int
		Any     map[string]any
		hidden  int
	}
	require.NoError(t, Decode("properties", []byte("spring.application.name=x\non=true\ntimeout=3s\n"+
		"at=2026-01-02T03:04:05Z\nratio=0.5\nsmall=255\nints=1,2\nany.k.l=v\nhidden=1"), &got, false))
	assert.Equal(t, "x", got.Dotted)
	assert.True(t, got.On)
	assert.Equal(t, 3*time.Second, got.Timeout)
	assert.Equal(t, 2026, got.At.Year())
	assert.InDelta(t, 0.5, got.Ratio, 0)
	assert.Equal(t, uint8(255), got.Small)
	assert.Equal(t, []int{1, 2}, got.Ints)
	assert.Equal(t, map[string]any{"k.l": "v"}, got.Any)
	assert.Zero(t, got.hidden)
	require.ErrorContains(t, Decode("properties", []byte("\nsmall=256"), &got, false), "line 2: a value does not fit: Small is of type uint8: it is out of range")
}

// A field has one name in all formats: the tag of the format, else of another, else its own.
func TestDecode_NamesOfFields(t *testing.T) {
	type inner struct {
		X int `yaml:"x_name"`
	}
	type names struct {
		JSON   int `json:"json_name"`
		YAML   int `yaml:"yaml_name,omitempty" toml:"toml_name"`
		Own    int
		Hidden int   `json:"-"`
		Inline inner `yaml:",inline"`
	}
	for format, data := range map[string]string{
		"json": `{"json_name": 1, "yaml_name": 2, "own": 3, "x_name": 4}`,
		"yaml": "json_name: 1\nyaml_name: 2\nown: 3\nx_name: 4", "toml": "json_name = 1\ntoml_name = 2\nown = 3\nx_name = 4",
		"properties": "json_name=1\nyaml_name=2\nown=3\nx_name=4",
	} {
		var got names
		require.NoError(t, Decode(format, []byte(data), &got, true), format)
		assert.Equal(t, names{JSON: 1, YAML: 2, Own: 3, Inline: inner{4}}, got, format)
	}
	require.ErrorContains(t, Decode("json", []byte(`{"hidden": 1}`), new(names), true), "unknown field")
	require.ErrorContains(t, Decode("json", []byte(`{}`), &struct {
		A int `json:"x"`
		B int `yaml:"x"`
	}{}, false), "have one name")
	require.ErrorContains(t, Decode("yaml", []byte("a: 1"), &struct {
		M map[string]int `yaml:",inline"`
	}{}, false), "inline and not a struct")
}

type level struct {
	A, B int
	More map[string]level
	Any  any
	P    *int
}

// What a document does not say stays as it was, in every format.
func TestDecode_MergesStructsAndMapsAndReplacesTheRest(t *testing.T) {
	for format, data := range map[string]string{
		"json": `{"more": {"x": {"a": 5}}, "any": {"k": 1}}`, "yaml": "more: {x: {a: 5}}\nany: {k: 1}",
		"toml": "[more.x]\na = 5\n[any]\nk = 1", "properties": "more.x.a=5\nany.k=1",
	} {
		one := 1
		got := level{A: 1, More: map[string]level{"x": {A: 1, B: 2}, "y": {A: 3}}, Any: map[string]any{"old": 1}, P: &one}
		require.NoError(t, Decode(format, []byte(data), &got, true), format)
		assert.Equal(t, map[string]level{"x": {A: 5, B: 2}, "y": {A: 3}}, got.More, format)
		assert.NotContains(t, got.Any, "old", format)
		assert.Equal(t, &one, got.P, format)
	}
}

func TestDecode_YAMLMergeKeys(t *testing.T) {
	var got struct {
		A, B struct{ X, Y int }
	}
	require.NoError(t, Decode("yaml", []byte("base: &b {x: 1, y: 2}\na: {<<: *b, y: 3}\nb:\n  <<: [{y: 4}, *b]\n"), &got, false))
	assert.Equal(t, struct{ X, Y int }{1, 3}, got.A)
	assert.Equal(t, struct{ X, Y int }{1, 4}, got.B, "of several, the first counts")
	require.ErrorContains(t, Decode("yaml", []byte("a:\n  <<: 5\n"), &got, false), "line 2: what is merged")
}

func FuzzDecode(f *testing.F) {
	for _, format := range formats {
		f.Add(format.name, []byte(format.full))
		f.Add(format.name, []byte(format.syntax))
	}
	f.Fuzz(func(t *testing.T, format string, data []byte) {
		var got config
		_ = Decode(format, data, &got, true)
		var deep level
		_ = Decode(format, data, &deep, false)
		var m map[string]any
		if Decode(format, data, &m, false) != nil || format == "properties" {
			return
		}
		// What was read means the same, written as JSON.
		again, err := json.Marshal(m)
		require.NoError(t, err)
		var second map[string]any
		require.NoError(t, Decode("json", again, &second, true))
		assert.Equal(t, fmt.Sprint(m), fmt.Sprint(second))
	})
}
