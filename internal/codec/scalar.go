package codec

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/internal/document"
)

// scalar sets v, which has a basic kind, from a scalar.
func (d *decoder) scalar(n *document.Node, v reflect.Value) error {
	if !isScalar(n) {
		return d.misfit(n, v, "it is a list or a mapping")
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		return d.duration(n, v)
	}
	switch v.Kind() {
	case reflect.String:
		return d.string(n, v)
	case reflect.Bool:
		return d.bool(n, v)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return d.integer(n, v)
	case reflect.Float32, reflect.Float64:
		text, ok := numberText(n)
		if !ok {
			return d.misfit(n, v, "it is no number")
		}
		f, err := document.ParseFloat(text, v.Type().Bits())
		if err != nil {
			return d.misfit(n, v, err.Error())
		}
		v.SetFloat(f)
		return nil
	}
	return d.misfit(n, v, "values of this type cannot be decoded into")
}

func isScalar(n *document.Node) bool {
	return n.Kind == document.Bool || n.Kind == document.Integer || n.Kind == document.Float || n.Kind == document.String
}

// numberText returns the text of a number. A plain text may be a number where a format has
// only text (properties, and keys in all formats).
func numberText(n *document.Node) (string, bool) {
	switch n.Kind {
	case document.Integer, document.Float:
		return n.Text, true
	case document.String:
		return strings.TrimSpace(n.Text), n.Plain
	}
	return "", false
}

func (d *decoder) string(n *document.Node, v reflect.Value) error {
	if v.Type() == reflect.TypeFor[json.Number]() {
		return d.jsonNumber(n, v)
	}
	if n.Kind != document.String && !n.Plain {
		return d.misfit(n, v, "it is no text: put it in quotes")
	}
	v.SetString(n.Text)
	return nil
}

// jsonNumber sets a json.Number to any number that is valid in JSON, as it is written.
func (d *decoder) jsonNumber(n *document.Node, v reflect.Value) error {
	text, ok := numberText(n)
	if !ok {
		return d.misfit(n, v, "it is no number")
	}
	number := document.Node{Kind: document.Float, Text: text}
	if _, _, err := document.ParseInteger(text); err == nil {
		number.Kind = document.Integer
	}
	b, err := appendNumber(nil, &number)
	if err != nil {
		return d.misfit(n, v, err.Error())
	}
	v.SetString(string(b))
	return nil
}

func (d *decoder) bool(n *document.Node, v reflect.Value) error {
	text := n.Text
	if n.Kind == document.String && d.format == "properties" {
		text = strings.TrimSpace(text)
	} else if n.Kind != document.Bool {
		text = ""
	}
	text = strings.ToLower(text)
	if text != "true" && text != "false" {
		return d.misfit(n, v, "write true or false")
	}
	v.SetBool(text == "true")
	return nil
}

func (d *decoder) integer(n *document.Node, v reflect.Value) error {
	text, ok := numberText(n)
	if !ok {
		return d.misfit(n, v, "it is no number")
	}
	signed, unsigned, err := document.ParseInteger(text)
	if err != nil {
		return d.misfit(n, v, err.Error())
	}
	const outOfRange = "it is out of range"
	if v.CanUint() {
		if signed != 0 || v.OverflowUint(unsigned) {
			return d.misfit(n, v, outOfRange)
		}
		v.SetUint(unsigned)
		return nil
	}
	if unsigned > 1<<63-1 {
		return d.misfit(n, v, outOfRange)
	}
	signed += int64(unsigned) // one of the two is zero
	if v.OverflowInt(signed) {
		return d.misfit(n, v, outOfRange)
	}
	v.SetInt(signed)
	return nil
}

// duration sets a time.Duration from text with units. A bare number would be
// nanoseconds to one reader and seconds to another.
func (d *decoder) duration(n *document.Node, v reflect.Value) error {
	const how = "write a duration with its unit, as text, such as 2.5s, 300ms or 1h30m"
	text := strings.TrimSpace(n.Text)
	if n.Kind != document.String || text == "" || strings.IndexByte("0123456789.", text[len(text)-1]) >= 0 {
		return d.misfit(n, v, how)
	}
	duration, err := time.ParseDuration(text)
	if err != nil {
		return d.misfit(n, v, how)
	}
	v.SetInt(int64(duration))
	return nil
}

// bytes sets a []byte from base64. done reports that n is such a text and not a list.
func (d *decoder) bytes(n *document.Node, v reflect.Value) (done bool, err error) {
	if n.Kind != document.String || v.Kind() != reflect.Slice || v.Type().Elem().Kind() != reflect.Uint8 {
		return false, nil
	}
	b, err := base64.StdEncoding.DecodeString(n.Text)
	if err != nil {
		return true, d.misfit(n, v, "write bytes as base64")
	}
	v.SetBytes(b)
	return true, nil
}

// freeNumber returns a number for an any.
func (d *decoder) freeNumber(n *document.Node) (any, error) {
	anyType := reflect.Zero(reflect.TypeFor[any]())
	if n.Kind == document.Float {
		f, err := document.ParseFloat(n.Text, 64)
		if err != nil {
			return nil, d.misfit(n, anyType, err.Error())
		}
		return f, nil
	}
	signed, unsigned, err := document.ParseInteger(n.Text)
	switch {
	case err != nil:
		if f, err := document.ParseFloat(n.Text, 64); err == nil { // above all integers
			return f, nil
		}
		return nil, d.misfit(n, anyType, err.Error())
	case unsigned > 1<<63-1:
		return unsigned, nil
	}
	return signed + int64(unsigned), nil
}
