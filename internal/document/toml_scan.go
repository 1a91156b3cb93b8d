package document

import (
	"errors"
	"strings"
)

// tomlScanner scans a text before the TOML parser, whose work and memory grow with the parts
// and the length of each key's whole path. It refuses a text that would cost too much, and
// records the line of each key. In an invalid text it continues anyhow, because the parser
// fails there.
type tomlScanner struct {
	data   []byte
	at     int
	line   int32
	lines  []int32 // of the keys, in order
	cost   int     // of all keys
	values int

	table tomlPath   // of the last header
	open  []tomlOpen // brackets around at
}

// tomlPath is the number of parts and bytes of a path of keys.
type tomlPath struct{ parts, bytes int }

// tomlOpen is an open bracket.
type tomlOpen struct {
	array  bool
	within tomlPath // of the keys in the bracket
}

// maxTOMLCost is the largest cost of all keys of a document: 400,000 keys of 12 bytes cost 37
// million.
const maxTOMLCost = 128 << 20

// scan scans the text.
func (s *tomlScanner) scan() error {
	for s.at < len(s.data) {
		s.space(true)
		if s.at == len(s.data) {
			return nil
		}
		var err error
		if s.data[s.at] == '[' {
			err = s.header()
		} else {
			err = s.pair(s.table)
		}
		if err != nil {
			return err
		}
		s.restOfLine()
	}
	return nil
}

// header reads [a.b] or [[a.b]].
func (s *tomlScanner) header() error {
	for s.at < len(s.data) && s.data[s.at] == '[' {
		s.at++
	}
	if s.values++; s.values > MaxValues {
		return errorf(int(s.line), reasonMany)
	}
	path, err := s.key(tomlPath{}, "]\n")
	s.table = path
	return err
}

// pair reads a key and its value, in the tables and arrays that are open.
func (s *tomlScanner) pair(within tomlPath) error {
	path, err := s.key(within, "=\n")
	if err != nil || s.at == len(s.data) || s.data[s.at] != '=' {
		return err
	}
	s.at++
	return s.value(path)
}

// value reads the value of a key, or the next part of an array or inline table, to its end.
// path is the path of the key.
func (s *tomlScanner) value(path tomlPath) error {
	outer := len(s.open)
	for s.at < len(s.data) {
		s.space(len(s.open) > 0)
		if s.at == len(s.data) {
			return nil
		}
		switch c := s.data[s.at]; {
		case c == '\n':
			return nil
		case c == '[' || c == '{':
			if err := s.opening(c == '[', path); err != nil {
				return err
			}
			if c == '{' {
				if err := s.nextPair(&path); err != nil {
					return err
				}
			}
			continue
		case c == ']' || c == '}':
			s.at++
			if len(s.open) > outer {
				s.open = s.open[:len(s.open)-1]
			}
		case c == ',':
			s.at++
			if err := s.nextPair(&path); err != nil {
				return err
			}
			continue
		default:
			if s.values++; s.values > MaxValues {
				return errorf(int(s.line), reasonMany)
			}
			if err := s.scalar(); err != nil {
				return err
			}
		}
		if len(s.open) == outer {
			return nil
		}
	}
	return nil
}

// opening records an opening bracket.
func (s *tomlScanner) opening(array bool, path tomlPath) error {
	s.at++
	if s.values++; s.values > MaxValues {
		return errorf(int(s.line), reasonMany)
	}
	s.open = append(s.open, tomlOpen{array: array, within: path})
	if path.parts+len(s.open) > MaxDepth {
		return errorf(int(s.line), reasonDeep)
	}
	return nil
}

// nextPair reads the key of the next pair of an open inline table.
func (s *tomlScanner) nextPair(path *tomlPath) error {
	if len(s.open) == 0 || s.open[len(s.open)-1].array {
		if len(s.open) > 0 {
			*path = s.open[len(s.open)-1].within
		}
		return nil
	}
	s.space(true)
	if s.at < len(s.data) && s.data[s.at] == '}' {
		return nil
	}
	var err error
	*path, err = s.key(s.open[len(s.open)-1].within, "=\n}")
	if s.at < len(s.data) && s.data[s.at] == '=' {
		s.at++
	}
	return err
}

// key reads a dotted key up to one of the bytes of end, and adds its cost. It returns the path
// of the key.
func (s *tomlScanner) key(within tomlPath, end string) (tomlPath, error) {
	own := tomlPath{parts: 1}
	line := s.line
	for s.at < len(s.data) && strings.IndexByte(end, s.data[s.at]) < 0 {
		start := s.at
		switch s.data[s.at] {
		case '"', '\'':
			s.text()
		case '.':
			own.parts++
			s.at++
		default:
			s.at++
		}
		own.bytes += s.at - start
		if own.bytes > MaxKey {
			return within, errorf(int(line), reasonLongKey)
		}
	}
	s.lines = append(s.lines, line)
	path := tomlPath{within.parts + own.parts, within.bytes + own.bytes}
	if path.parts+len(s.open) > MaxDepth {
		return path, errorf(int(line), reasonDeep)
	}
	// The parser visits the whole path for each part of the key.
	if s.cost += own.parts * (64 + 16*path.parts + path.bytes); s.cost > maxTOMLCost {
		return path, errorf(int(line), "its keys are too many or too long together")
	}
	return path, nil
}

// scalar skips a text, or everything up to a separator. It refuses a number that is too small
// for a float, because the parser would return zero.
func (s *tomlScanner) scalar() error {
	if c := s.data[s.at]; c == '"' || c == '\'' {
		s.text()
		return nil
	}
	start := s.at
	for s.at < len(s.data) && strings.IndexByte("[]{},\n#", s.data[s.at]) < 0 {
		s.at++
	}
	if bare := strings.TrimSpace(string(s.data[start:s.at])); strings.ContainsAny(bare, ".eE") {
		if _, err := ParseFloat(bare, 64); errors.Is(err, errRange) {
			return errorf(int(s.line), "not valid TOML: %s", errRange)
		}
	}
	return nil
}

// text skips a quoted text.
func (s *tomlScanner) text() {
	quote := s.data[s.at]
	end := []byte{quote}
	if triple := strings.Repeat(string(quote), 3); strings.HasPrefix(string(s.data[s.at:min(s.at+3, len(s.data))]), triple) {
		end = []byte(triple)
	}
	s.at += len(end)
	for s.at < len(s.data) {
		c := s.data[s.at]
		switch {
		case c == '\\' && quote == '"':
			s.at++
			if s.at < len(s.data) && s.data[s.at] == '\n' {
				s.line++
			}
		case c == '\n' && len(end) == 1:
			return // not closed
		case c == '\n':
			s.line++
		case c == quote && len(end) == 1:
			s.at++
			return
		case c == quote && strings.HasPrefix(string(s.data[s.at:min(s.at+3, len(s.data))]), string(end)):
			s.at += 3
			for range 2 { // up to two quotes may precede the closing ones
				if s.at < len(s.data) && s.data[s.at] == quote {
					s.at++
				}
			}
			return
		}
		s.at++
	}
	s.at = len(s.data)
}

// space skips white space and, if breaks is set, line breaks and comments.
func (s *tomlScanner) space(breaks bool) {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\r':
			s.at++
		case '\n':
			if !breaks {
				return
			}
			s.line++
			s.at++
		case '#':
			for s.at < len(s.data) && s.data[s.at] != '\n' {
				s.at++
			}
		default:
			return
		}
	}
}

// restOfLine skips the rest of a line, which can only be a comment.
func (s *tomlScanner) restOfLine() {
	s.open = s.open[:0]
	for s.at < len(s.data) && s.data[s.at] != '\n' {
		s.at++
	}
}
