package document

import (
	"errors"
	"strings"
)

// tomlScanner goes through a text before the TOML parser does, whose work and
// memory grow with the parts and the length of each key's whole path. It
// refuses what would cost too much, and notes the line of each key. Where the
// text is not valid it goes on somehow: the parser ends at that place.
type tomlScanner struct {
	data   []byte
	at     int
	line   int32
	lines  []int32 // of the keys, in their order
	cost   int     // of all keys
	values int

	table tomlPath   // of the last header
	open  []tomlOpen // brackets around at
}

// tomlPath is how many parts and bytes a path of keys has.
type tomlPath struct{ parts, bytes int }

// tomlOpen is a bracket that is not closed yet.
type tomlOpen struct {
	array  bool
	within tomlPath // of the keys that stand in it
}

// maxTOMLCost is how much the keys of a document may cost together: 400,000
// keys of 12 bytes cost 37 million.
const maxTOMLCost = 128 << 20

// scan goes through the text.
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

// value reads what follows a key, or an array's or inline table's next part,
// until the value is at its end. path is that of the key.
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

// opening notes a bracket.
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

// nextPair reads the key of the next pair where an inline table is open.
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

// key reads a dotted key up to one of the bytes of end, and charges for it. It
// returns its path.
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
	// The parser goes through the whole path for each part of the key.
	if s.cost += own.parts * (64 + 16*path.parts + path.bytes); s.cost > maxTOMLCost {
		return path, errorf(int(line), "its keys are too many or too long together")
	}
	return path, nil
}

// scalar passes over a text, or over what else stands up to a separator. The
// parser makes zero of a number that is too small for a float.
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

// text passes over a quoted text.
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
			for range 2 { // up to two quotes may stand before the closing ones
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

// space passes over white space and, where they may stand, line breaks and comments.
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

// restOfLine passes over what is left of a line, which is a comment at most.
func (s *tomlScanner) restOfLine() {
	s.open = s.open[:0]
	for s.at < len(s.data) && s.data[s.at] != '\n' {
		s.at++
	}
}
