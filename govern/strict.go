package govern

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/linnaname/gdiamond/conf"
)

// Limits of a document.
const (
	// MaxDocument is the limit of a document in bytes.
	MaxDocument = 1 << 20

	maxDepth = 32  // of objects and lists in each other
	maxPath  = 256 // bytes of a path, of the objects that a field is in
)

// checkStrict refuses what readers of JSON do not agree about: names that stand twice in
// an object, of which encoding/json takes the last and others the first, bytes that are
// not UTF-8, and text after the document. It returns a problem, or "".
func checkStrict(content string) string {
	if !utf8.ValidString(content) {
		return "is not UTF-8"
	}
	dec := json.NewDecoder(strings.NewReader(content))
	dec.UseNumber()
	if problem := walk(dec, "", 0); problem != "" {
		return problem
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return "has text after its end"
	}
	return ""
}

// walk reads one value.
func walk(dec *json.Decoder, path string, depth int) string {
	tok, err := dec.Token()
	if err != nil {
		return syntaxProblem(err)
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return ""
	}
	if depth == maxDepth {
		return "has objects and lists in more than 32 others"
	}
	seen := make(map[string]bool)
	for dec.More() {
		inner := path
		if delim == '{' {
			tok, err := dec.Token()
			if err != nil {
				return syntaxProblem(err)
			}
			name, ok := tok.(string)
			if !ok {
				return "is not JSON: a name of a field is no text"
			}
			inner = join(path[:min(len(path), maxPath)], name) // not the whole of a long one for each of its fields
			if seen[name] {
				return conf.Clip(inner) + ": stands twice"
			}
			seen[name] = true
		}
		if problem := walk(dec, inner, depth+1); problem != "" {
			return problem
		}
	}
	if _, err := dec.Token(); err != nil {
		return syntaxProblem(err)
	}
	return ""
}

// syntaxProblem describes an error of the reader. It repeats none of the text.
func syntaxProblem(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "is not JSON: it ends too early"
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return "is not JSON: " + syntax.Error()
	}
	return "is not JSON"
}

// join returns the path of a field of the object at path.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
