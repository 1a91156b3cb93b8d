package document

import (
	"errors"
	"strings"

	"github.com/BurntSushi/toml"
)

// tomlReasons maps parts of the parser's messages to reasons. The messages themselves are
// never passed on, because many quote the content.
var tomlReasons = []struct{ said, reason string }{
	{"has already been defined", reasonTwice},
	{"was already created", reasonTwice},
	{"is not a table", "a key stands below one that is no table"},
	{"is out of range", errRange.Error()},
	{"leading zero", errZero.Error()},
	{"nvalid datetime", "a malformed date or time: text needs quotes"},
	{"nteger", "a malformed whole number: text needs quotes"},
	{"loat", "a malformed number: text needs quotes"},
	{"number", "a malformed number: text needs quotes"},
	{"digit", "a malformed number: text needs quotes"},
	{"not allowed within inline tables", "a line break in an inline table"},
	{"strings cannot contain newlines", "quotes that are not closed"},
	{"UTF-8", "it is not UTF-8"},
	{"control characters", "a control character"},
	{"NULL bytes", "a control character"},
	{"escape", "an escape that is not known"},
	{"key separator", "a key without = and a value"},
	{"expected '.' or '='", "a key without = and a value"},
	{"table name", "a malformed [table] or [[list of tables]]"},
	{"table array name", "a malformed [table] or [[list of tables]]"},
	{"top-level item to end", "something after a value on its line"},
	{"expected value", "a value is missing, or a text is without quotes"},
	{"array terminator", "a list in [] that is not closed, or lacks a comma"},
	{"inline table terminator", "a table in {} that is not closed, or lacks a comma"},
	{"unexpected comma", "a comma too many"},
	{"unexpected EOF", "it ends too early"},
	{"keys cannot start", "a malformed key"},
	{"unexpected '", "a malformed key"},
}

// tomlError returns the position and the reason of an invalid text.
func tomlError(err error) error {
	out := &Error{Reason: "not valid TOML"}
	parse, ok := errors.AsType[toml.ParseError](err)
	if !ok {
		return out
	}
	out.Line = parse.Position.Line
	for _, r := range tomlReasons {
		if strings.Contains(parse.Message, r.said) {
			out.Reason += ": " + r.reason
			break
		}
	}
	return out
}
