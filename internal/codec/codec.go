// Package codec decodes the formats in which configurations are written.
//
// Its errors name the line and the rule that was broken, and never hold
// anything of the content: they end up in logs.
package codec

import (
	"fmt"
	"reflect"
)

// Error says why a content could not be decoded.
type Error struct {
	Line   int // from 1; 0: not known
	Reason string
}

// Error returns "line n: reason".
func (e *Error) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
	}
	return e.Reason
}

func errorf(line int, format string, args ...any) error {
	return &Error{Line: line, Reason: fmt.Sprintf(format, args...)}
}

const (
	reasonUnknownField = "unknown field"
	reasonMisfit       = "a value does not fit its field"
	reasonSecond       = "more than one document"
)

// Decode decodes data, written in format, into what target points to: "json",
// "yaml", "toml" or "properties". A target of type *string or *[]byte takes
// data as it is, whatever the format.
//
// What target holds already stays where data says nothing of it: structs and
// maps are merged, lists are replaced. With strict, a field that target does
// not have is an error.
func Decode(format string, data []byte, target any, strict bool) error {
	v := reflect.ValueOf(target)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return errorf(0, "cannot decode into %T", target)
	}
	if setPlain(v.Elem(), data) {
		return nil
	}
	switch format {
	case "json":
		return decodeJSON(data, target, strict)
	case "yaml":
		return decodeYAML(data, target, strict)
	case "toml":
		return decodeTOML(data, target, strict)
	case "properties":
		return decodeProperties(data, v.Elem(), strict)
	}
	return errorf(0, "no decoder for type %q into %s", format, v.Type().Elem())
}

// Knows reports whether Decode has a decoder for format.
func Knows(format string) bool {
	switch format {
	case "json", "yaml", "toml", "properties":
		return true
	}
	return false
}

// setPlain sets a string or []byte to data, and reports whether v is one.
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
