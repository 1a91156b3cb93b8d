package codec

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type Pair struct {
	A int    `json:"a"`
	B string `json:"b"`
}

type embedding struct {
	Pair
	C int `json:"c"`
}

type nested struct {
	In struct {
		In Pair `json:"in"`
	} `json:"in"`
}

// yamlOnly has a method that only a YAML decoder would call.
type yamlOnly int

func (y *yamlOnly) UnmarshalYAML(func(any) error) error { *y = 7; return nil }

// documented are the types of the table of docs/formats.md.
var documented = map[string]reflect.Type{
	"bool": reflect.TypeFor[bool](), "int": reflect.TypeFor[int](), "int8": reflect.TypeFor[int8](),
	"int16": reflect.TypeFor[int16](), "int32": reflect.TypeFor[int32](), "int64": reflect.TypeFor[int64](),
	"uint": reflect.TypeFor[uint](), "uint8": reflect.TypeFor[uint8](), "uint16": reflect.TypeFor[uint16](),
	"uint32": reflect.TypeFor[uint32](), "uint64": reflect.TypeFor[uint64](),
	"float32": reflect.TypeFor[float32](), "float64": reflect.TypeFor[float64](), "string": reflect.TypeFor[string](),
	"[]byte": reflect.TypeFor[[]byte](), "time.Duration": reflect.TypeFor[time.Duration](), "time.Time": reflect.TypeFor[time.Time](),
	"*int": reflect.TypeFor[*int](), "[]string": reflect.TypeFor[[]string](), "[]int": reflect.TypeFor[[]int](), "[2]int": reflect.TypeFor[[2]int](),
	"map[string]int": reflect.TypeFor[map[string]int](), "map[int]string": reflect.TypeFor[map[int]string](),
	"struct": reflect.TypeFor[Pair](), "embedded struct": reflect.TypeFor[embedding](), "struct in structs": reflect.TypeFor[nested](),
	"*struct": reflect.TypeFor[*Pair](), "[]struct": reflect.TypeFor[[]Pair](), "map[string]struct": reflect.TypeFor[map[string]Pair](),
	"any": reflect.TypeFor[any](), "UnmarshalText": reflect.TypeFor[netip.Addr](), "UnmarshalJSON": reflect.TypeFor[json.RawMessage](),
	"both methods": reflect.TypeFor[big.Int](), "UnmarshalYAML": reflect.TypeFor[yamlOnly](),
}

// wholeDocument writes a cell of the table as the whole of a document.
func wholeDocument(format, cell string) string {
	switch {
	case format == "json":
		return `{"v": ` + cell + `}`
	case format == "yaml":
		return "v: " + cell + "\n"
	case format == "toml":
		return "v = " + cell + "\n"
	case strings.HasPrefix(cell, "v.") || strings.HasPrefix(cell, "v["):
		return strings.ReplaceAll(cell, "; ", "\n")
	}
	return "v=" + cell
}

// shown returns v as the last column of the table has it.
func shown(typ string, v reflect.Value) string {
	if typ == "any" && !v.IsNil() {
		return fmt.Sprintf("%T %v", v.Interface(), v.Interface())
	}
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return "nil"
		}
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case json.RawMessage:
		return string(x)
	case big.Int:
		return x.String()
	}
	return fmt.Sprintf("%+v", v.Interface())
}

// Each row of the documented table holds, in each format, with a byte order
// mark and with CRLF too.
func TestFormats_TheTableOfTheDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/formats.md")
	require.NoError(t, err)
	met := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 8 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		typ, want := strings.Trim(cells[1], "`"), cells[6]
		require.Contains(t, documented, typ)
		met[typ] = true
		for i, format := range []string{"json", "yaml", "toml", "properties"} {
			if cells[2+i] == "-" {
				continue
			}
			cell := strings.TrimSuffix(strings.TrimPrefix(cells[2+i], "`"), "`")
			data := wholeDocument(format, cell)
			t.Run(typ+"/"+format+"/"+cell, func(t *testing.T) {
				for _, data := range []string{data, "\ufeff" + data, strings.ReplaceAll(data, "\n", "\r\n")} {
					holder := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "V", Type: documented[typ], Tag: `json:"v"`}}))
					err := Decode(format, []byte(data), holder.Interface(), true)
					if reason, refused := strings.CutPrefix(want, "refused"); refused {
						require.Error(t, err, "it holds %s", shown(typ, holder.Elem().Field(0)))
						if !strings.Contains(reason, "not valid") {
							assert.Contains(t, err.Error(), strings.TrimPrefix(reason, ": "))
						}
						assert.Contains(t, err.Error(), "line ")
						continue
					}
					require.NoError(t, err)
					assert.Equal(t, want, shown(typ, holder.Elem().Field(0)))
				}
			})
		}
	}
	for typ := range documented {
		assert.True(t, met[typ], "the table has no row for %s", typ)
	}
}
