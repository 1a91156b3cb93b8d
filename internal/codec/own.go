package codec

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/internal/document"
)

// Types of methods, as reflection asks for them.
var (
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
)

// own decodes n by a method of v's type, if it has one. UnmarshalText gets texts, and
// UnmarshalJSON everything else, or also texts if there is no UnmarshalText. A type with only
// UnmarshalText gets every scalar as it is written.
func (d *decoder) own(n *document.Node, v reflect.Value) (done bool, err error) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		return true, d.time(n, v)
	}
	text, isText := unmarshalsText(v)
	fromJSON, isJSON := unmarshaler[json.Unmarshaler](v, jsonUnmarshaler)
	switch {
	case isText && !isJSON && n.Kind == document.Float && d.format == "toml":
		return true, d.misfit(n, v, "TOML knows it as a float64 alone: put it in quotes")
	case isText && (n.Kind == document.String || !isJSON && isScalar(n)):
		return true, d.text(n, v, text)
	case (isText || isJSON) && n.Kind == document.Properties:
		return true, d.misfit(n, v, "its type takes one value, and properties go on below it")
	case isJSON:
		b, err := appendJSON(nil, n)
		if err != nil || fromJSON.UnmarshalJSON(b) != nil {
			return true, d.misfit(n, v, "its type does not take it")
		}
		return true, nil
	case isText:
		return true, d.misfit(n, v, "it is a list or a mapping")
	}
	for _, method := range []string{"UnmarshalYAML", "UnmarshalTOML"} {
		if v.CanAddr() && hasMethod(v.Addr().Type(), method) {
			return true, d.misfit(n, v, "its "+method+" is not called: give it UnmarshalText or UnmarshalJSON")
		}
	}
	return false, nil
}

// unmarshaler returns the pointer to v as a T.
func unmarshaler[T any](v reflect.Value, t reflect.Type) (T, bool) {
	if !v.CanAddr() || !v.Addr().Type().Implements(t) {
		var none T
		return none, false
	}
	return v.Addr().Interface().(T), true
}

func unmarshalsText(v reflect.Value) (encoding.TextUnmarshaler, bool) {
	return unmarshaler[encoding.TextUnmarshaler](v, textUnmarshaler)
}

func hasMethod(t reflect.Type, name string) bool {
	switch name { // constants, so that the linker can leave other methods out
	case "UnmarshalYAML":
		_, ok := t.MethodByName("UnmarshalYAML")
		return ok
	case "UnmarshalTOML":
		_, ok := t.MethodByName("UnmarshalTOML")
		return ok
	}
	return false
}

func (d *decoder) text(n *document.Node, v reflect.Value, t encoding.TextUnmarshaler) error {
	if t.UnmarshalText([]byte(n.Text)) != nil { // its error may quote the content
		return d.misfit(n, v, "its type does not take it")
	}
	return nil
}

// time sets a time.Time from RFC 3339.
func (d *decoder) time(n *document.Node, v reflect.Value) error {
	t, err := time.Parse(time.RFC3339, strings.TrimSpace(n.Text))
	if n.Kind != document.String || err != nil {
		return d.misfit(n, v, "write a time with its date and zone, such as 2026-01-02T15:04:05Z")
	}
	v.Set(reflect.ValueOf(t))
	return nil
}

// appendJSON appends n as JSON.
func appendJSON(b []byte, n *document.Node) ([]byte, error) {
	var err error
	switch n.Kind {
	case document.Null:
		return append(b, "null"...), nil
	case document.Bool:
		return append(b, strings.ToLower(n.Text)...), nil
	case document.Integer, document.Float:
		return appendNumber(b, n)
	case document.String:
		return appendString(b, n.Text)
	}
	brackets := "{}"
	if n.Kind == document.List {
		brackets = "[]"
	}
	b = append(b, brackets[0])
	for i := range n.Members {
		if i > 0 {
			b = append(b, ',')
		}
		if n.Kind != document.List {
			if b, err = appendString(b, n.Members[i].Key); err != nil {
				return nil, err
			}
			b = append(b, ':')
		}
		if b, err = appendJSON(b, &n.Members[i].Value); err != nil {
			return nil, err
		}
	}
	return append(b, brackets[1]), nil
}

// appendNumber appends a number as it is written, if JSON writes it so too.
func appendNumber(b []byte, n *document.Node) ([]byte, error) {
	if n.Text != "" && strings.IndexByte("-0123456789", n.Text[0]) >= 0 && json.Valid([]byte(n.Text)) {
		return append(b, n.Text...), nil
	}
	if n.Kind == document.Float {
		f, err := document.ParseFloat(n.Text, 64)
		return strconv.AppendFloat(b, f, 'g', -1, 64), err
	}
	signed, unsigned, err := document.ParseInteger(n.Text)
	if signed < 0 {
		return strconv.AppendInt(b, signed, 10), err
	}
	return strconv.AppendUint(b, unsigned, 10), err
}

func appendString(b []byte, s string) ([]byte, error) {
	quoted, err := json.Marshal(s)
	return append(b, quoted...), err
}
