package document

import (
	"bytes"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yamlReasons maps parts of the parser's messages to reasons. The messages themselves are
// never passed on, because some quote the content.
var yamlReasons = []struct{ said, reason string }{
	{"mapping values are not allowed", "a colon where no value can stand: indent it as its neighbours are, or put the text in quotes"},
	{"did not find expected key", "a line that is no key of the mapping that it stands in: see its indentation, and for quotes that are not closed"},
	{"did not find expected '-' indicator", "a line that is no item of the list that it stands in: see its indentation"},
	{"did not find expected ',' or", "a list in [] or a mapping in {} that is not closed, or lacks a comma"},
	{"could not find expected ':'", "a key without a colon and a space after it"},
	{"did not find expected node content", "a value is missing"},
	{"block sequence entries are not allowed", "a list item where none can stand"},
	{"found character that cannot start any token", "a text that begins with a sign of YAML's own: put it in quotes"},
	{"found a tab character", reasonTab},
	{"unknown anchor", "an alias without an anchor before it"},
	{"unexpected end of stream", "quotes that are not closed"},
	{"unexpected document indicator", "quotes that are not closed"},
	{"escape", "an escape that is not known"},
	{"control characters are not allowed", "a control character"},
	{"invalid Unicode character", "a control character"},
	{"exceeded max depth", reasonDeep},
	{"did not find expected <document start>", "a line that begins before the column in which the document does"},
	{"alphabetic or numeric character", "a text that begins with a sign of YAML's own: put it in quotes"},
	{"comment or line break", "something after the sign of a text block"},
	{"directive", "a directive that is not known"},
	{"tag", "a malformed tag"},
	{"cannot decode", reasonOfTag},
}

const (
	notYAML   = "not valid YAML"
	reasonTab = "a tab in the indentation: YAML takes spaces alone"
)

// yamlError returns the position and the reason of invalid data.
func yamlError(data []byte, err error) error {
	reason := notYAML
	for _, r := range yamlReasons {
		if strings.Contains(err.Error(), r.said) {
			reason += ": " + r.reason
			break
		}
	}
	line := failingLine(data, err)
	if at, look := lookalike(data, line); look != "" && (look == reasonTab || endsLater(data, at, line)) {
		line, reason = at, notYAML+": "+look
	}
	return errorf(line, "%s", reason)
}

// failingLine returns the line at which the parser fails with err: the last line of the
// shortest prefix that fails in the same way. The line that the parser reports is sometimes
// that of the surrounding mapping, and sometimes one less. The parser reads only a little
// ahead, so the prefix ends close to where it stopped reading.
func failingLine(data []byte, err error) int {
	const back = 4 // lines that the parser usually reads ahead at most
	lines := &lineReader{rest: data}
	_ = decodeAll(lines)
	n := lines.n
	for range back {
		end := endOfLine(data, n-1)
		if again := decodeAll(bytes.NewReader(data[:end])); n == 1 || again == nil || again.Error() != err.Error() {
			break
		}
		n--
	}
	return n
}

// decodeAll returns the error with which the parser ends.
func decodeAll(r io.Reader) error {
	dec := yaml.NewDecoder(r)
	for {
		if err := dec.Decode(new(yaml.Node)); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// lineReader returns one line for each Read, and counts lines.
type lineReader struct {
	rest []byte
	n    int
	mid  bool // the last Read ended within a line
}

func (r *lineReader) Read(b []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	end := bytes.IndexByte(r.rest, '\n') + 1
	if end == 0 {
		end = len(r.rest)
	}
	if !r.mid {
		r.n++
	}
	r.mid = end > len(b)
	n := copy(b, r.rest[:end])
	r.rest = r.rest[n:]
	return n, nil
}

// endOfLine returns the offset of the end of line n.
func endOfLine(data []byte, n int) int {
	at := 0
	for ; n > 0; n-- {
		next := bytes.IndexByte(data[at:], '\n')
		if next < 0 {
			return len(data)
		}
		at += next + 1
	}
	return at
}

// lookalikes are characters that look like those of YAML, each before its lookalike.
var lookalikes = []struct {
	reason string
	pairs  []string
}{
	{reasonSpace, []string{"\u00a0", " ", "\u3000", " "}},
	{"a full-width sign where YAML takes the plain one, such as a colon", []string{
		"：", ": ", "，", ", ", "［", "[", "］", "]", "｛", "{", "｝", "}", "＃", " #", "－", "- ",
	}},
	{"typographic quotes, where YAML takes the plain ones", []string{"“", `"`, "”", `"`, "‘", "'", "’", "'"}},
}

// lookalike finds characters that look like those of YAML, in the line at which the parser
// failed or in the previous one.
func lookalike(data []byte, line int) (at int, reason string) {
	lines := bytes.SplitN(data[endOfLine(data, max(line-2, 0)):], []byte("\n"), 3)
	for i, text := range lines[:min(2, len(lines))] {
		at = max(line-1, 1) + i
		if at > line {
			break
		}
		indent := text[:len(text)-len(bytes.TrimLeft(text, " \t\u00a0\u3000"))]
		if bytes.ContainsAny(indent, "\t") {
			return at, reasonTab
		}
		for _, alike := range lookalikes {
			for i := 0; i < len(alike.pairs); i += 2 {
				if bytes.Contains(text, []byte(alike.pairs[i])) {
					return at, alike.reason
				}
			}
		}
	}
	return 0, ""
}

// endsLater reports whether the text fails after line, or not at all, once the lookalikes in
// line at are replaced by characters of YAML. If not, they are part of a text.
func endsLater(data []byte, at, line int) bool {
	begin, end := endOfLine(data, at-1), endOfLine(data, at)
	var pairs []string
	for _, alike := range lookalikes {
		pairs = append(pairs, alike.pairs...)
	}
	plain := strings.NewReplacer(pairs...).Replace(string(data[begin:end]))
	text := append(append(bytes.Clone(data[:begin]), plain...), data[end:]...)
	err := decodeAll(bytes.NewReader(text))
	return err == nil || failingLine(text, err) > line
}
