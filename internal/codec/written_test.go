package codec

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A json.Number is for numbers that no type of Go holds: it is the one that is written.
func TestDecode_JSONNumberIsTheOneThatIsWritten(t *testing.T) {
	for _, d := range []struct{ format, data, want string }{
		{"json", `{"v": 9007199254740993}`, "9007199254740993"},
		{"json", `{"v": 123456789012345678901234567890}`, "123456789012345678901234567890"},
		{"yaml", "v: 1e400", "1e400"},
		{"yaml", "v: 1.10", "1.10"},
		{"yaml", "v: 0x1F", "31"},
		{"yaml", "v: +1_000", "1000"},
		{"properties", "v = 5 ", "5"},
	} {
		var got struct{ V json.Number }
		require.NoError(t, Decode(d.format, []byte(d.data), &got, true), d.data)
		assert.Equal(t, json.Number(d.want), got.V, d.data)
	}
	for _, data := range []string{"v={}", "v=true", "v=x", "v=010", "v="} {
		require.ErrorContains(t, Decode("properties", []byte(data), &struct{ V json.Number }{}, true), "number", data)
	}
}

// YAML has several ways to write true. A text is the one that is written, and all are true.
func TestDecode_YAMLBoolAsItIsWritten(t *testing.T) {
	var got struct {
		S    string
		W    written
		B    bool
		A    any
		Flag json.RawMessage
	}
	require.NoError(t, Decode("yaml", []byte("s: True\nw: FALSE\nb: TRUE\na: True\nflag: True"), &got, true))
	assert.Equal(t, "True", got.S)
	assert.Equal(t, written("<FALSE>"), got.W)
	assert.True(t, got.B)
	assert.Equal(t, true, got.A)
	assert.Equal(t, "true", string(got.Flag))
}

// An alias may stand for a key too.
func TestDecode_YAMLAliasOfAKey(t *testing.T) {
	var got struct{ A, B string }
	require.NoError(t, Decode("yaml", []byte("&k a: x\nb: *k"), &got, true))
	assert.Equal(t, "a", got.B)
}

// A float above all integers is a number like any other, also as programs write it as JSON.
func TestDecode_FloatsAboveAllIntegers(t *testing.T) {
	text, err := json.Marshal(map[string]any{"v": 1e20, "a": -1e20})
	require.NoError(t, err)
	var got struct {
		V float64
		A any
	}
	require.NoError(t, Decode("json", text, &got, true))
	assert.InDelta(t, 1e20, got.V, 0)
	assert.Equal(t, -1e20, got.A)
	require.ErrorContains(t, Decode("json", []byte(`{"v": 100000000000000000001}`), &got, true), "a float cannot hold it exactly")
	require.ErrorContains(t, Decode("json", []byte(`{"v": 1000000000000000000000000000000000000000}`), &struct{ V float32 }{}, true), "out of range")
}

// What does not fit is told of the field as it is declared.
func TestDecode_ErrorsOfAnAnyAreOfAnAny(t *testing.T) {
	err := Decode("yaml", []byte("v: 0644"), &struct{ V any }{}, true)
	require.ErrorContains(t, err, "V is of type interface {}: a number must not begin with 0")
}

type lower struct{ X int }

// A struct that is not exported has fields that are.
func TestDecode_StructsThatAreNotExported(t *testing.T) {
	var named struct {
		lower `json:"in"`
	}
	require.NoError(t, Decode("json", []byte(`{"in": {"x": 1}}`), &named, true))
	assert.Equal(t, 1, named.X)
	var inline struct {
		in lower `yaml:",inline"`
	}
	require.ErrorContains(t, Decode("yaml", []byte("x: 1"), &inline, true), "in is inline and not exported")
	assert.Zero(t, inline.in)
}

// A path that ends in a dot is no other spelling of the one without.
func TestProperties_ADotAtTheEnd(t *testing.T) {
	var got struct {
		A int
		M map[string][]string
		L []int
	}
	require.ErrorContains(t, Decode("properties", []byte("a.=1"), &got, true), "unknown field")
	require.NoError(t, Decode("properties", []byte("m.k.=x"), &got, true))
	assert.Equal(t, map[string][]string{"k.": {"x"}}, got.M)
	require.ErrorContains(t, Decode("properties", []byte("l[0].=1"), &got, true), "written with its index")
	assert.Zero(t, got.A)
}
