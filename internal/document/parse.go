package document

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Error is the reason why a document was refused.
type Error struct {
	Line   int // from 1, or 0 if not known
	Column int // in bytes from 1, or 0 if not known
	Reason string
}

// Error returns "line n, column m: reason", without the parts that are not known.
func (e *Error) Error() string {
	switch {
	case e.Line > 0 && e.Column > 0:
		return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
	case e.Line > 0:
		return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
	}
	return e.Reason
}

// ErrNothing is the error for a document without a value: it is empty, or has only white
// space, comments or a null.
var ErrNothing error = &Error{Reason: "the document says nothing"}

const (
	reasonDeep      = "it is nested too deeply"
	reasonMany      = "it holds too many values"
	reasonLongKey   = "a key is too long"
	reasonTwice     = "a key appears twice in one mapping"
	reasonSurrogate = "an escape is half of a character (a lone surrogate)"
)

func errorf(line int, format string, args ...any) error {
	return &Error{Line: line, Reason: fmt.Sprintf(format, args...)}
}

// Parse parses data in the format "json", "yaml", "toml" or "properties", in UTF-8 with or
// without a byte order mark. Its errors are of type *Error; one of them is ErrNothing.
func Parse(format string, data []byte) (Node, error) {
	data = bytes.TrimPrefix(data, bom)
	if !utf8.Valid(data) {
		return Node{}, errorf(firstInvalid(data), "it is not UTF-8")
	}
	var root Node
	var err error
	switch format {
	case "json":
		root, err = parseJSON(data)
	case "yaml":
		root, err = parseYAML(data)
	case "toml":
		root, err = parseTOML(data)
	case "properties":
		root, err = parseProperties(data)
	default:
		return Node{}, errorf(0, "no parser for type %q", format)
	}
	if err == nil && root.Kind == Null {
		err = ErrNothing
	}
	return root, err
}

// Knows reports whether Parse has a parser for format.
func Knows(format string) bool {
	switch format {
	case "json", "yaml", "toml", "properties":
		return true
	}
	return false
}

// bom is the byte order mark of UTF-8.
var bom = []byte("\ufeff")

// firstInvalid returns the line of the first byte that is not UTF-8.
func firstInvalid(data []byte) int {
	at := 0
	for at < len(data) {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return 1 + bytes.Count(data[:at], []byte("\n"))
}

// members collects the members of one mapping and refuses repeated keys.
type members struct {
	list []Member
	seen map[string]struct{} // nil while the list is short
}

// add appends m.
func (s *members) add(m Member) error {
	const short = 16
	if len(m.Key) > MaxKey {
		return errorf(int(m.Line), reasonLongKey)
	}
	if s.seen == nil && len(s.list) == short {
		s.seen = make(map[string]struct{}, 2*short)
		for i := range s.list {
			s.seen[s.list[i].Key] = struct{}{}
		}
	}
	if s.has(m.Key) {
		return errorf(int(m.Line), reasonTwice)
	}
	if s.seen != nil {
		s.seen[m.Key] = struct{}{}
	}
	s.list = append(s.list, m)
	return nil
}

func (s *members) has(key string) bool {
	if s.seen != nil {
		_, ok := s.seen[key]
		return ok
	}
	for i := range s.list {
		if s.list[i].Key == key {
			return true
		}
	}
	return false
}
