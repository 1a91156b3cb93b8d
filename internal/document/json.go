package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// jsonParser turns the tokens of a JSON text into nodes.
type jsonParser struct {
	data   []byte
	dec    *json.Decoder
	at     int // end of the last token
	line   int32
	start  int // start of the line
	values int
}

func parseJSON(data []byte) (Node, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return Node{}, nil
	}
	p := &jsonParser{data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1}
	p.dec.UseNumber()
	root, err := p.value(0)
	if err != nil {
		return Node{}, err
	}
	switch _, err := p.dec.Token(); {
	case err == nil:
		p.moveTo(p.next())
		return Node{}, p.errorf("more than one document")
	case err != io.EOF:
		return Node{}, p.syntax(err)
	}
	return root, nil
}

// next returns the start of the next token.
func (p *jsonParser) next() int {
	at := p.at
	for at < len(p.data) && strings.IndexByte(" \t\r\n,:", p.data[at]) >= 0 {
		at++
	}
	return at
}

// moveTo keeps the line and its start in step.
func (p *jsonParser) moveTo(at int) {
	passed := p.data[p.at:at]
	if n := bytes.Count(passed, []byte("\n")); n > 0 {
		p.line += int32(n)
		p.start = p.at + bytes.LastIndexByte(passed, '\n') + 1
	}
	p.at = at
}

func (p *jsonParser) errorf(reason string) error {
	return &Error{Line: int(p.line), Column: p.at - p.start + 1, Reason: reason}
}

// token reads a token. node has its position and, if it is a scalar, its text.
func (p *jsonParser) token() (token json.Token, node Node, err error) {
	p.moveTo(p.next())
	node = Node{Line: p.line, Column: int32(p.at - p.start + 1)}
	if token, err = p.dec.Token(); err != nil {
		return nil, node, p.syntax(err)
	}
	end := int(p.dec.InputOffset())
	switch t := token.(type) {
	case nil:
	case bool:
		node.Kind, node.Text = Bool, string(p.data[p.at:end])
	case json.Number:
		node.Kind, node.Text = Integer, string(t)
		if strings.ContainsAny(node.Text, ".eE") {
			node.Kind = Float
		}
	case string:
		if halved(t, p.data[p.at:end]) {
			return nil, node, p.errorf(reasonSurrogate)
		}
		node.Kind, node.Text = String, t
	}
	p.at = end // no token has a line break
	return token, node, nil
}

// value reads a value at a depth of nested lists and mappings.
func (p *jsonParser) value(depth int) (Node, error) {
	token, node, err := p.token()
	if err != nil {
		return node, err
	}
	if p.values++; p.values > MaxValues {
		return node, p.errorf(reasonMany)
	}
	opening, ok := token.(json.Delim)
	if !ok {
		return node, nil
	}
	if depth == MaxDepth {
		return node, p.errorf(reasonDeep)
	}
	node.Kind = List
	if opening == '{' {
		node.Kind = Mapping
	}
	var all members
	for p.dec.More() {
		var m Member
		if opening == '{' {
			_, key, err := p.token()
			if err != nil {
				return node, err
			}
			m.Key, m.Line = key.Text, key.Line
		}
		if m.Value, err = p.value(depth + 1); err != nil {
			return node, err
		}
		if opening == '[' {
			all.list = append(all.list, m)
		} else if err := all.add(m); err != nil {
			return node, err
		}
	}
	node.Members = all.list
	_, _, err = p.token()
	return node, err
}

// syntax returns the reason why there is no next token.
func (p *jsonParser) syntax(err error) error {
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok { // io.EOF or io.ErrUnexpectedEOF
		line, column := position(p.data, len(p.data))
		return &Error{Line: line, Column: column, Reason: "not valid JSON: it ends too early"}
	}
	// The decoder's offset counts from its own start in a scalar, and from the start of the
	// text in a structure. The check of the whole text always does the latter.
	at := int(syntax.Offset)
	if whole, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(p.data, new(json.RawMessage))); ok {
		at, syntax = int(whole.Offset), whole
	}
	reason := "not valid JSON"
	// "invalid character 'x' after object key": only the part after the character is kept.
	if _, rule, ok := strings.Cut(strings.TrimPrefix(syntax.Error(), "invalid character '"), "' "); ok {
		reason += ": an unexpected character " + rule
	} else if strings.HasPrefix(syntax.Error(), "unexpected end") {
		at = len(p.data) + 1 // Go 1.27 counts to the last character, not to the end
		reason += ": it ends too early"
	}
	line, column := position(p.data, at-1)
	return &Error{Line: line, Column: column, Reason: reason}
}

// halved reports whether the decoder has silently replaced a lone surrogate of literal by a
// replacement character in text.
func halved(text string, literal []byte) bool {
	n := strings.Count(text, "\ufffd")
	if n == 0 {
		return false
	}
	n -= bytes.Count(literal, []byte("\ufffd"))
	for at := bytes.IndexByte(literal, '\\'); at >= 0 && at+1 < len(literal); {
		if len(literal) >= at+6 && strings.EqualFold(string(literal[at:at+6]), `\ufffd`) {
			n--
		}
		literal = literal[at+2:] // the character after a backslash does not begin an escape
		at = bytes.IndexByte(literal, '\\')
	}
	return n > 0
}
