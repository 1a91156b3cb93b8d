package httptransport

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"slices"

	diamond "github.com/linnaname/gdiamond"
)

const (
	// maxValue is how many bytes one value may have: a string, a number, or an
	// object in a list.
	maxValue = 8 << 10
	// maxDepth is how deep lists and objects may be nested in a field that is skipped.
	maxDepth = 16
	// maxFields is how many fields one object may have.
	maxFields = 64
)

// jsonReader decodes one JSON object of a peer that is not trusted, while it
// arrives. No more of it is in memory than one value, so that numbers, sizes and
// nesting are checked before they cost anything. Its errors hold nothing of what
// it reads but the names of fields.
type jsonReader struct {
	src    io.Reader
	hold   func(bytes int64) error // is told of the memory that lists take
	dec    *json.Decoder
	passed int64 // bytes that dec was given
	broken error // why src could not be read
}

func newJSONReader(src io.Reader, hold func(bytes int64) error) *jsonReader {
	j := &jsonReader{src: src, hold: hold}
	j.dec = json.NewDecoder(j)
	return j
}

// Read gives dec what it asks for. It asks only where the value that it is
// reading, or the white space before it, is not complete.
func (j *jsonReader) Read(p []byte) (int, error) {
	if j.passed-j.dec.InputOffset() > maxValue {
		return 0, diamond.Errorf(diamond.ErrInvalid, "json: a value has more than %d bytes", maxValue)
	}
	n, err := j.src.Read(p[:min(len(p), maxValue)])
	j.passed += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		j.broken = err
	}
	return n, err
}

// whole calls field as object does, and checks that nothing follows the object.
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
	return diamond.Errorf(diamond.ErrInvalid, "json: something follows the value")
}

// object calls field with the name of each field of the object that comes next.
// It must read the field's value.
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
		name, _ := token.(string) // the decoder takes nothing else for one
		if slices.Contains(seen, name) {
			return diamond.Errorf(diamond.ErrInvalid, "json: field %.80q is given more than once", name)
		}
		if len(seen) == maxFields {
			return diamond.Errorf(diamond.ErrInvalid, "json: more than %d fields", maxFields)
		}
		seen = append(seen, name)
		if err := field(name); err != nil {
			return err
		}
	}
	_, err := j.token()
	return err
}

// list calls element for each element of the list that is the value of field
// name, of which each takes so many bytes of memory. It must read the element. More
// than most elements are ErrTooLarge.
func (j *jsonReader) list(name string, most int, memory int64, element func() error) error {
	if is, err := j.enter(name, '['); !is {
		return err
	}
	for n := 0; j.dec.More(); n++ {
		if n == most {
			return diamond.Errorf(diamond.ErrTooLarge, "%s: more than %d", name, most)
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
// returns false where null stands there instead, or an error.
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

// value decodes the value of field name, which is no larger than one value may be.
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

// skip reads the value of a field that is not known.
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
			return diamond.Errorf(diamond.ErrInvalid, "json: nested more than %d deep", maxDepth)
		}
	}
}

func (j *jsonReader) token() (json.Token, error) {
	token, err := j.dec.Token()
	return token, j.fault(err)
}

// fault returns err, which dec has returned, as it may be shown.
func (j *jsonReader) fault(err error) error {
	switch {
	case err == nil:
		return nil
	case j.broken != nil:
		return j.broken
	}
	return invalidJSON(err)
}
