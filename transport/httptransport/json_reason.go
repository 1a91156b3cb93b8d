package httptransport

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// invalidJSON returns the reason why a JSON decoder failed. It contains nothing of the
// input except the names of fields.
func invalidJSON(err error) error {
	var typed *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	var own *conf.Error
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &typed):
		return notOfKind(typed.Field, typed.Value, typed.Type.Kind())
	case errors.As(err, &syntax), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return conf.Errorf(conf.ErrInvalid, "json: not well-formed")
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		return conf.Errorf(conf.ErrInvalid, "json: %s", httpserve.Clip(strings.TrimPrefix(err.Error(), "json: ")))
	}
	return conf.Errorf(conf.ErrInvalid, "json: a field has a value that it cannot have")
}

// notOfKind returns the error of a value that is not of the wanted kind. An empty name
// stands for the whole value. Given is the kind of the value as package json names it.
func notOfKind(name, given string, wanted reflect.Kind) error {
	where := "the value"
	if name != "" {
		where = "field " + name
	}
	given, _, _ = strings.Cut(given, " ") // a number follows its kind
	return conf.Errorf(conf.ErrInvalid, "json: %s is %s, not %s", where, jsonKinds[given], jsonKindOf(wanted))
}

// jsonKinds translates the kinds of values as package json names them.
var jsonKinds = map[string]string{
	"array": "an array", "object": "an object", "string": "a string", "number": "a number", "bool": "true or false", "null": "null",
}

// jsonKindOf names the JSON values that a variable of a kind can have.
func jsonKindOf(kind reflect.Kind) string {
	switch kind {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice:
		return "an array"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	}
	return "a whole number of 64 bits"
}
