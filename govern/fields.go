package govern

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
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
func fieldsOf(t reflect.Type) (all []field) {
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			all = append(all, field{i, name, options == "omitempty"})
		}
	}
	return all
}

// isObject reports whether t is a struct that keeps unknown fields.
func isObject(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	_, ok := t.FieldByName("Unknown")
	return ok
}

// decodeObject fills the struct v. It takes names of fields as they are written, where
// encoding/json takes "Retired" for "retired", and it takes no null for a known field.
func decodeObject(path string, raw []byte, v reflect.Value, p *problems) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil || object == nil {
		p.add("%s: is not an object", cmp.Or(path, "document"))
		return
	}
	for _, f := range fieldsOf(v.Type()) {
		value, ok := object[f.name]
		if !ok {
			continue
		}
		delete(object, f.name)
		decodeValue(join(path, f.name), value, v.Field(f.index), p)
	}
	if len(object) > 0 {
		v.FieldByName("Unknown").Set(reflect.ValueOf(Unknown(object)))
	}
}

func decodeValue(path string, raw []byte, v reflect.Value, p *problems) {
	t := v.Type()
	switch {
	case string(raw) == "null":
		p.add("%s: is null; leave it out", path)
	case isObject(t):
		decodeObject(path, raw, v, p)
	case t.Kind() == reflect.Pointer && isObject(t.Elem()):
		v.Set(reflect.New(t.Elem()))
		decodeObject(path, raw, v.Elem(), p)
	case t.Kind() == reflect.Slice && isObject(t.Elem()):
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			p.add("%s: is not a list of objects", path)
			return
		}
		v.Set(reflect.MakeSlice(t, len(list), len(list)))
		for i, item := range list {
			decodeValue(fmt.Sprintf("%s[%d]", path, i), item, v.Index(i), p)
		}
	default:
		if err := json.Unmarshal(raw, v.Addr().Interface()); err != nil {
			p.add("%s: is not %s", path, describe(t))
		}
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
