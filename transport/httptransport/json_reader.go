package httptransport

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"slices"

	"github.com/linnaname/gdiamond/conf"
)

const (
	// maxValue is the maximum number of bytes of one value: a string, a number, or an
	// object in a list.
	maxValue = 8 << 10
	// maxDepth is the maximum depth of lists and objects in an unknown field.
	maxDepth = 16
	// maxFields is the maximum number of fields of one object.
	maxFields = 64
)

// jsonReader decodes one JSON object of an untrusted peer while it arrives. It holds
// one value at a time in memory, so that counts, sizes and nesting are checked before
// they cost anything. Its errors contain nothing of the input except the names of
// fields.
type jsonReader struct {
	src    io.Reader
	hold   func(bytes int64) error // is called with the memory that elements of lists take
	dec    *json.Decoder
	passed int64 // bytes that dec has read
	broken error // the error of src, or nil
}

func newJSONReader(src io.Reader, hold func(bytes int64) error) *jsonReader {
	j := &jsonReader{src: src, hold: hold}
	j.dec = json.NewDecoder(j)
	return j
}

// Read implements [io.Reader] for dec, which reads only while the current value, or
// the white space before it, is incomplete.
func (j *jsonReader) Read(p []byte) (int, error) {
	if j.passed-j.dec.InputOffset() > maxValue {
		return 0, conf.Errorf(conf.ErrInvalid, "json: a value has more than %d bytes", maxValue)
	}
	n, err := j.src.Read(p[:min(len(p), maxValue)])
	j.passed += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		j.broken = err
	}
	return n, err
}

// whole is like object, and also checks that nothing follows the object.
func (j *jsonReader) whole(field func(name string) error) error {
	if err := j.object(field); err != nil {
		return err
	}
	switch _, err := j.dec.Token(); {
	case errors.Is(err, io.EOF):
		return nil
	case j.broken != nil:
		return j.broken
	}
	return conf.Errorf(conf.ErrInvalid, "json: something follows the value")
}

// object calls field with the name of each field of the next object. Field must read
// the value.
func (j *jsonReader) object(field func(name string) error) error {
	if is, err := j.enter("", '{'); !is {
		return err
	}
	var seen []string
	for j.dec.More() {
		token, err := j.token()
		if err != nil {
			return err
		}
		name, _ := token.(string) // the decoder accepts only strings as names
		if slices.Contains(seen, name) {
			return conf.Errorf(conf.ErrInvalid, "json: field %.80q is given more than once", name)
		}
		if len(seen) == maxFields {
			return conf.Errorf(conf.ErrInvalid, "json: more than %d fields", maxFields)
		}
		seen = append(seen, name)
		if err := field(name); err != nil {
			return err
		}
	}
	_, err := j.token()
	return err
}

// list calls element for each element of the list that is the value of field name.
// Element must read the element, which takes memory bytes. A list of more than most
// elements fails with ErrTooLarge.
func (j *jsonReader) list(name string, most int, memory int64, element func() error) error {
	if is, err := j.enter(name, '['); !is {
		return err
	}
	for n := 0; j.dec.More(); n++ {
		if n == most {
			return conf.Errorf(conf.ErrTooLarge, "%s: more than %d", name, most)
		}
		if err := j.hold(memory); err != nil {
			return err
		}
		if err := element(); err != nil {
			return err
		}
	}
	_, err := j.token()
	return err
}

// enter reads the beginning of a list or an object, the value of field name. It
// returns false for null instead of a list, or with an error.
func (j *jsonReader) enter(name string, begin json.Delim) (bool, error) {
	token, err := j.token()
	switch {
	case err != nil:
		return false, err
	case token == begin:
		return true, nil
	case token == nil && begin == '[':
		return false, nil
	}
	wanted := reflect.Slice
	if begin == '{' {
		wanted = reflect.Struct
	}
	return false, notOfKind(name, kindOfToken(token), wanted)
}

func kindOfToken(token json.Token) string {
	switch token {
	case nil:
		return "null"
	case json.Delim('['):
		return "array"
	case json.Delim('{'):
		return "object"
	}
	switch token.(type) {
	case string:
		return "string"
	case bool:
		return "bool"
	}
	return "number"
}

// value decodes the value of field name, which may have maxValue bytes.
func (j *jsonReader) value(name string, into any) error {
	err := j.dec.Decode(into)
	var typed *json.UnmarshalTypeError
	if j.broken == nil && errors.As(err, &typed) {
		if typed.Field != "" {
			name += "." + typed.Field
		}
		return notOfKind(name, typed.Value, typed.Type.Kind())
	}
	return j.fault(err)
}

// skip reads the value of an unknown field.
func (j *jsonReader) skip() error {
	for depth := 0; ; {
		token, err := j.token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
		if depth > maxDepth {
			return conf.Errorf(conf.ErrInvalid, "json: nested more than %d deep", maxDepth)
		}
	}
}

func (j *jsonReader) token() (json.Token, error) {
	token, err := j.dec.Token()
	return token, j.fault(err)
}

// fault returns an error of dec in a form that may be shown to the peer.
func (j *jsonReader) fault(err error) error {
	switch {
	case err == nil:
		return nil
	case j.broken != nil:
		return j.broken
	}
	return invalidJSON(err)
}
