package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

func decodeJSON(data []byte, target any, strict bool) error {
	restore := emptyLists(reflect.ValueOf(target))
	defer restore()
	dec := json.NewDecoder(bytes.NewReader(data))
	if strict {
		dec.DisallowUnknownFields()
	}
	if err := dec.Decode(target); err != nil {
		return jsonError(data, err)
	}
	end := dec.InputOffset()
	if _, err := dec.Token(); err != io.EOF {
		return errorf(lineAt(data, end), reasonSecond)
	}
	return nil
}

func jsonError(data []byte, err error) error {
	const notJSON = "not valid JSON"
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return errorf(lineAt(data, syntax.Offset), notJSON)
	}
	if misfit, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		// Field is a path of Go fields, Value may be part of the content.
		return errorf(lineAt(data, misfit.Offset), "%s: field %q is of type %s", reasonMisfit, misfit.Field, misfit.Type)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errorf(lineAt(data, int64(len(data))), notJSON+": it ends too early")
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return unknownJSONField(data, name)
	}
	return errorf(0, reasonMisfit)
}

// unknownJSONField finds the lines of the keys of that (quoted) name, as the
// decoder does not tell where it met it.
func unknownJSONField(data []byte, quoted string) error {
	var lines []string
	dec := json.NewDecoder(bytes.NewReader(data))
	for {
		token, err := dec.Token()
		if err != nil {
			break
		}
		name, ok := token.(string)
		if !ok || fmt.Sprintf("%q", name) != quoted {
			continue
		}
		end := dec.InputOffset()
		if rest := bytes.TrimLeft(data[end:], " \t\r\n"); len(rest) > 0 && rest[0] == ':' {
			lines = append(lines, fmt.Sprint(lineAt(data, end)))
		}
	}
	switch len(lines) {
	case 0:
		return errorf(0, reasonUnknownField)
	case 1:
		return &Error{Reason: "line " + lines[0] + ": " + reasonUnknownField}
	}
	return errorf(0, "%s, on one of the lines %s", reasonUnknownField, strings.Join(lines, ", "))
}

// lineAt returns the line, from 1, of the byte before offset.
func lineAt(data []byte, offset int64) int {
	offset = min(max(offset-1, 0), int64(len(data)))
	return 1 + bytes.Count(data[:offset], []byte("\n"))
}

// emptyLists makes the lists within v empty, because encoding/json decodes a
// list's elements into those that are there already and so would mix the two.
// The function that it returns puts those back that were not decoded into.
func emptyLists(v reflect.Value) (restore func()) {
	type list struct{ field, had, empty reflect.Value }
	var lists []list
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				walk(v.Elem())
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Field(i).CanSet() {
					walk(v.Field(i))
				}
			}
		case reflect.Slice:
			if v.Len() == 0 || !v.CanSet() {
				return
			}
			// Room for one, so that this empty list can be told from any other.
			l := list{field: v, had: reflect.ValueOf(v.Interface()), empty: reflect.MakeSlice(v.Type(), 0, 1)}
			v.Set(l.empty)
			lists = append(lists, l)
		}
	}
	walk(v)
	return func() {
		for _, l := range lists {
			if l.field.Len() == 0 && l.field.UnsafePointer() == l.empty.UnsafePointer() {
				l.field.Set(l.had)
			}
		}
	}
}
