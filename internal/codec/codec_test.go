package codec

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
			require.True(t, Knows(f.name))
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
				assert.Contains(t, err.Error(), "line 3: ")
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

func TestDecode_Nothing(t *testing.T) {
	var got config
	require.ErrorContains(t, Decode("json", nil, &got, false), "line 1: not valid JSON")
	for _, format := range []string{"yaml", "toml", "properties"} {
		require.NoError(t, Decode(format, []byte("# only a comment\n"), &got, true))
	}
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
	require.EqualError(t, Decode("xml", nil, &got, false), `no decoder for type "xml" into codec.config`)
	require.Error(t, Decode("json", []byte("{}"), got, false), "not a pointer")
	assert.False(t, Knows("xml"))
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
		"twice=1\ntwice=2\n"+
		"last=x\\"), &got, true))
	assert.Equal(t, map[string]string{
		"a b:c": "d\teA\U0001F600", "long": "one, two", "indented": "x ", "nothing": "", "blank": "",
		"path": `c:\dir\`, "twice": "2", "last": "x",
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
	require.ErrorContains(t, Decode("properties", []byte("\nsmall=256"), &got, false), "line 2: a value does not fit its field: it is of type uint8")
}

func FuzzDecode(f *testing.F) {
	for _, format := range formats {
		f.Add(format.name, []byte(format.full))
		f.Add(format.name, []byte(format.syntax))
	}
	f.Fuzz(func(t *testing.T, format string, data []byte) {
		var got config
		_ = Decode(format, data, &got, true)
		var m map[string]any
		_ = Decode(format, data, &m, false)
	})
}
