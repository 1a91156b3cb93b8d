package govern

import (
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/linnaname/gdiamond/conf"
)

// Limits of a document.
const (
	// MaxDocument is the limit of a document in bytes.
	MaxDocument = 1 << 20

	maxDepth = 32 // of objects and lists in each other
)

// tree is a value of JSON, as it is written, and then the values in it, each before its own.
type tree []node

type node struct {
	name string // of the field of an object
	raw  string // without space around it; only an object begins with "{", only a list with "["
	size int    // of the value's tree
}

// raw returns the text of the value.
func (t tree) raw() string { return t[0].raw }

// parts yields the values that an object or a list has.
func (t tree) parts() iter.Seq[tree] {
	return func(yield func(tree) bool) {
		for i := 1; i < len(t); i += t[i].size {
			if !yield(t[i : i+t[i].size]) {
				return
			}
		}
	}
}

// field returns the value of a field of an object, or nil.
func (t tree) field(name string) tree {
	for part := range t.parts() {
		if part[0].name == name {
			return part
		}
	}
	return nil
}

// readStrict reads one value. It refuses what readers of JSON do not agree about: names that
// stand twice in an object, of which encoding/json takes the last and others the first, bytes
// that are not UTF-8, and text after the document. problem is "" if there is none.
func readStrict(content string) (t tree, problem string) {
	if !utf8.ValidString(content) {
		return nil, "is not UTF-8"
	}
	if !json.Valid([]byte(content)) {
		return nil, syntaxProblem(content)
	}
	r := strictReader{text: content}
	r.skipSpace()
	r.read("")
	return r.values, r.problem
}

// syntaxProblem describes why content is not JSON. It repeats no more than one letter of it.
func syntaxProblem(content string) string {
	var first json.RawMessage
	err := json.Unmarshal([]byte(content), &first)
	if json.NewDecoder(strings.NewReader(content)).Decode(&first) == nil {
		return "has text after its end"
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return "is not JSON: " + syntax.Error()
	}
	return "is not JSON"
}

// strictReader divides a text into values. The text is known to be JSON, so that only its
// structure is of interest here.
type strictReader struct {
	text    string
	at      int
	values  tree     // that were read
	path    []string // of the fields that are being read
	depth   int
	problem string // the first one; nothing is read after it
}

func (r *strictReader) skipSpace() {
	for {
		switch r.text[r.at] {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return
		}
	}
}

// read reads the value that begins here. Name is that of the field that it is the value of.
func (r *strictReader) read(name string) {
	start, i := r.at, len(r.values)
	r.values = append(r.values, node{name: name})
	switch r.text[r.at] {
	case '{', '[':
		if r.depth == maxDepth {
			r.problem = "has objects and lists in more than 32 others"
			return
		}
		r.depth++
		if r.text[r.at] == '{' {
			r.readFields()
		} else {
			r.readItems()
		}
		r.depth--
	case '"':
		r.skipText()
	default:
		r.skipWord()
	}
	r.values[i].raw, r.values[i].size = r.text[start:r.at], len(r.values)-i
}

// first skips what stands before the first part of an object or a list, and reports whether
// there is one. If there is none, it skips the end.
func (r *strictReader) first() bool {
	r.at++
	r.skipSpace()
	if c := r.text[r.at]; c == '}' || c == ']' {
		r.at++
		return false
	}
	return true
}

// next skips what stands after a part, and reports whether there is another one. If there is
// none, it skips the end.
func (r *strictReader) next() bool {
	r.skipSpace()
	r.at++ // a comma, or the end
	if r.text[r.at-1] != ',' {
		return false
	}
	r.skipSpace()
	return true
}

func (r *strictReader) readItems() {
	for more := r.first(); more; more = r.next() {
		if r.read(""); r.problem != "" {
			return
		}
	}
}

func (r *strictReader) readFields() {
	const few = 8            // fields, whose names are compared one by one
	var seen map[string]bool // if there are more
	object, n := len(r.values)-1, 0
	for more := r.first(); more; more = r.next() {
		name := r.readName()
		r.path = append(r.path, name)
		twice := false
		if n++; n <= few {
			twice = r.values[object:].field(name) != nil
		} else {
			if seen == nil {
				seen = make(map[string]bool)
				for part := range r.values[object:].parts() {
					seen[part[0].name] = true
				}
			}
			twice = seen[name]
			seen[name] = true
		}
		if twice {
			r.problem = conf.Clip(strings.Join(r.path, ".")) + ": stands twice"
			return
		}
		r.skipSpace()
		r.at++ // the colon
		r.skipSpace()
		if r.read(name); r.problem != "" {
			return
		}
		r.path = r.path[:len(r.path)-1]
	}
}

// skipWord skips a number, true, false or null.
func (r *strictReader) skipWord() {
	for ; r.at < len(r.text); r.at++ {
		switch r.text[r.at] {
		case ' ', '\t', '\r', '\n', ',', ']', '}':
			return
		}
	}
}

// readName reads the name of a field.
func (r *strictReader) readName() string {
	start := r.at
	r.skipText()
	name, _ := textOf(r.text[start:r.at])
	return name
}

// skipText skips a text with its quotes.
func (r *strictReader) skipText() {
	for r.at++; r.text[r.at] != '"'; r.at++ {
		if r.text[r.at] == '\\' {
			r.at++
		}
	}
	r.at++
}

// textOf returns what a text says, and whether raw is one.
func textOf(raw string) (text string, ok bool) {
	if raw[0] != '"' {
		return "", false
	}
	if strings.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], true
	}
	return text, json.Unmarshal([]byte(raw), &text) == nil
}
