// Package codec decodes configurations into Go values. All formats are first parsed into
// the nodes of package document. One set of rules turns nodes into values, so the value of
// a field does not depend on the format.
//
// Its errors name the line, the path of Go names and the violated rule. They never quote
// the content, because they end up in logs.
package codec

import (
	"fmt"
	"reflect"

	"github.com/linnaname/gdiamond/internal/document"
)

// Decode decodes data into the value that target points to. The format is "json", "yaml",
// "toml" or "properties". A target of kind string or []byte takes data unchanged in any
// format.
//
// Structs and maps in target are merged with data, and everything else is replaced. With
// strict, a field that target does not have is an error. A document without a value is
// [document.ErrNothing].
func Decode(format string, data []byte, target any, strict bool) error {
	v := reflect.ValueOf(target)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fail(0, "cannot decode into %T", target)
	}
	if setPlain(v.Elem(), data) {
		return nil
	}
	if !document.Knows(format) {
		return fail(0, "no decoder for type %q into %s; json, yaml, toml and properties have one, and WithDecoder gives another", format, v.Type().Elem())
	}
	root, err := document.Parse(format, data)
	if err != nil {
		return err
	}
	d := &decoder{format: format, strict: strict, structs: make(map[reflect.Type]*fields)}
	return d.value(&root, v.Elem())
}

// setPlain sets v to data if v is a string or []byte, and reports whether it is.
func setPlain(v reflect.Value, data []byte) bool {
	switch {
	case v.Kind() == reflect.String:
		v.SetString(string(data))
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		v.SetBytes(append([]byte{}, data...))
	default:
		return false
	}
	return true
}

func fail(line int, format string, args ...any) error {
	return &document.Error{Line: line, Reason: fmt.Sprintf(format, args...)}
}

const (
	reasonMisfit  = "a value does not fit"
	reasonUnknown = "unknown field"
	reasonTwice   = "a field or key appears twice"
)
