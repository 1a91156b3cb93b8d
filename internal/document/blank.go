package document

import (
	"bytes"
	"strings"
)

// Blank reports whether data, written in format, says nothing: it is empty, or
// holds nothing but white space, comments or a null. A format that is not known
// has neither. It reads no further than the first thing that is said; where it
// reports true, Parse returns ErrNothing or refuses data for another reason.
func Blank(format string, data string) bool {
	rest := strings.TrimPrefix(data, "\ufeff")
	comments := map[string]string{"yaml": "#", "toml": "#", "properties": "#!"}[format]
	nulls := map[string][]string{"json": {"null"}, "yaml": {"null", "Null", "NULL", "~"}}[format]
	null := false
	for rest != "" {
		end := strings.IndexAny(rest, "\r\n")
		if end < 0 {
			end = len(rest) - 1
		}
		line := strings.TrimSpace(rest[:end+1])
		rest = rest[end+1:]
		if format == "yaml" {
			line = withoutMarks(line)
		}
		switch {
		case line == "" || strings.ContainsAny(line[:1], comments):
		case !null && contains(nulls, line):
			null = true
		default:
			return false
		}
	}
	return true
}

// withoutMarks takes the marks of documents and a comment at the end off a line of YAML.
func withoutMarks(line string) string {
	if line == "..." {
		return ""
	}
	if after, ok := strings.CutPrefix(line, "---"); ok && (after == "" || after[0] == ' ' || after[0] == '\t') {
		line = strings.TrimSpace(after)
	}
	if i := strings.Index(line, " #"); i > 0 {
		line = strings.TrimSpace(line[:i])
	}
	return line
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// position returns the line and the column of the byte at offset.
func position(data []byte, offset int) (line, column int) {
	offset = min(max(offset, 0), len(data))
	before := data[:offset]
	return 1 + bytes.Count(before, []byte("\n")), offset - bytes.LastIndexByte(before, '\n')
}
