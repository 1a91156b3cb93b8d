package codec

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type written string

func (w *written) UnmarshalText(b []byte) error { *w = written("<" + string(b) + ">"); return nil }

// A type with UnmarshalText alone takes each scalar as it is written.
func TestDecode_UnmarshalTextTakesNumbersAsTheyAreWritten(t *testing.T) {
	for format, data := range map[string]string{"json": `{"v": 1.10}`, "yaml": "v: 1.10", "properties": "v=1.10"} {
		var got struct{ V written }
		require.NoError(t, Decode(format, []byte(data), &got, true), format)
		assert.Equal(t, written("<1.10>"), got.V, format)
	}
}

// Of a float TOML keeps no more digits than a float64 has.
func TestDecode_UnmarshalTextTakesNoFloatOfTOML(t *testing.T) {
	var got struct{ V written }
	err := Decode("toml", []byte("a = 1\nv = 1.10"), &got, false)
	require.ErrorContains(t, err, "line 2: a value does not fit: V is of type codec.written: TOML knows it as a float64 alone: put it in quotes")
	require.NoError(t, Decode("toml", []byte("v = '1.10'"), &got, true))
	assert.Equal(t, written("<1.10>"), got.V)
}

type Far struct{ Deep }
type Deep struct{ Name string }
type Near struct{ Name string }

// Of two embedded fields of one name, the nearer one is set, as in Go.
func TestDecode_TheNearerFieldCounts(t *testing.T) {
	var got struct {
		Far
		Near
	}
	require.NoError(t, Decode("json", []byte(`{"name": "x"}`), &got, true))
	assert.Equal(t, "x", got.Near.Name)
	assert.Empty(t, got.Far.Name)
}
