package govern

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// Unknown are the fields of an object that this program does not know, by their names. A
// newer program wrote them, and [Encode] writes them again.
type Unknown map[string]json.RawMessage

// field is what the tag of a struct's field says.
type field struct {
	index int
	name  string
	omit  bool // if it is zero
}

// fieldsOf returns the fields of a struct that stand in JSON.
func fieldsOf(t reflect.Type) []field { return shapeOf(t).fields }

// isObject reports whether t is a struct that keeps unknown fields.
func isObject(t reflect.Type) bool { return t.Kind() == reflect.Struct && shapeOf(t).object }

// shape is what fieldsOf and isObject say of a struct.
type shape struct {
	fields []field
	object bool
}

// shapes has the shape of each type that was looked at, of which there are few.
var shapes sync.Map

func shapeOf(t reflect.Type) *shape {
	if known, ok := shapes.Load(t); ok {
		return known.(*shape)
	}
	s := &shape{}
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			s.fields = append(s.fields, field{i, name, options == "omitempty"})
		}
	}
	_, s.object = t.FieldByName("Unknown")
	shapes.Store(t, s)
	return s
}

// decodeObject fills the struct v. It takes names of fields as they are written, where
// encoding/json takes "Retired" for "retired", and it takes no null for a known field.
// Problems begin with the path from object to what they are about.
func decodeObject(object tree, v reflect.Value, p *problems) {
	if object.raw()[0] != '{' {
		p.add(": is not an object")
		return
	}
	known := fieldsOf(v.Type())
	var unknown Unknown
	for part := range object.parts() {
		name := part[0].name
		i := slices.IndexFunc(known, func(f field) bool { return f.name == name })
		if i < 0 {
			if unknown == nil {
				unknown = make(Unknown)
			}
			unknown[strings.Clone(name)] = json.RawMessage(part.raw())
			continue
		}
		before := len(*p)
		decodeValue(part, v.Field(known[i].index), p)
		p.under(before, name)
	}
	if unknown != nil {
		v.FieldByName("Unknown").Set(reflect.ValueOf(unknown))
	}
}

func decodeValue(part tree, v reflect.Value, p *problems) {
	t, raw := v.Type(), part.raw()
	if raw == "null" {
		p.add(": is null; leave it out")
		return
	}
	switch kind := t.Kind(); {
	case kind == reflect.String:
		text, ok := textOf(raw)
		if !ok {
			p.add(": is not %s", describe(t))
			return
		}
		v.SetString(strings.Clone(text)) // so that not the whole document is kept for it
	case isObject(t):
		decodeObject(part, v, p)
	case kind == reflect.Pointer && isObject(t.Elem()):
		v.Set(reflect.New(t.Elem()))
		decodeObject(part, v.Elem(), p)
	case kind == reflect.Slice && isObject(t.Elem()):
		decodeList(part, v, p)
	default:
		if err := json.Unmarshal([]byte(raw), v.Addr().Interface()); err != nil {
			p.add(": is not %s", describe(t))
		}
	}
}

// decodeList fills the slice v of objects.
func decodeList(list tree, v reflect.Value, p *problems) {
	if list.raw()[0] != '[' {
		p.add(": is not a list of objects")
		return
	}
	n := 0
	for range list.parts() {
		n++
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	i := 0
	for item := range list.parts() {
		before := len(*p)
		if decodeValue(item, v.Index(i), p); len(*p) > before {
			p.under(before, fmt.Sprintf("[%d]", i))
		}
		i++
	}
}

// describe says which values fit t.
func describe(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "a time such as 2026-01-31T12:00:00Z"
	case t == reflect.TypeFor[[]byte]():
		return "base64"
	case t.Kind() == reflect.Slice:
		return "a list of texts"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return "a text"
	}
	return "a whole number of 64 bits"
}

// encodeObject writes the struct v: known fields in their order, then unknown ones by name.
func encodeObject(b *bytes.Buffer, v reflect.Value) error {
	known := fieldsOf(v.Type())
	comma := "{"
	name := func(s string) {
		b.WriteString(comma)
		comma = ","
		quoted, _ := json.Marshal(s) // a text always has a JSON form
		b.Write(quoted)
		b.WriteByte(':')
	}
	for _, f := range known {
		value := v.Field(f.index)
		if f.omit && (value.IsZero() || value.Kind() == reflect.Slice && value.Len() == 0) {
			continue
		}
		name(f.name)
		if err := encodeValue(b, value); err != nil {
			return conf.Invalidf("%s: %v", f.name, err)
		}
	}
	unknown := v.FieldByName("Unknown").Interface().(Unknown)
	for _, key := range slices.Sorted(maps.Keys(unknown)) {
		if !slices.ContainsFunc(known, func(f field) bool { return f.name == key }) {
			name(key)
			b.Write(unknown[key])
		}
	}
	if comma == "{" {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return nil
}

func encodeValue(b *bytes.Buffer, v reflect.Value) error {
	t := v.Type()
	switch {
	case isObject(t):
		return encodeObject(b, v)
	case t.Kind() == reflect.Pointer && isObject(t.Elem()):
		return encodeObject(b, v.Elem())
	case t.Kind() == reflect.Slice && isObject(t.Elem()):
		b.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := encodeObject(b, v.Index(i)); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	case t.Kind() == reflect.Slice && v.IsNil() && t != reflect.TypeFor[[]byte]():
		b.WriteString("[]")
		return nil
	}
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	return enc.Encode(v.Interface())
}
